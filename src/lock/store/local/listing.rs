//! Lists all records of a directory.

use super::trouble::Trouble;
use super::{LocalStore, RecordFile};
use crate::lock::record::Record;
use crate::lock::store::Page;
use crate::system::own_directory::{FileError, OwnDirectory};

impl LocalStore {
    /// All of them in one page. Files that are not records, or cannot be read, are left out.
    pub(super) fn list_files(&self) -> Result<Page, Trouble> {
        let directory = match OwnDirectory::open(self.directory()?) {
            Ok(Some(directory)) => directory,
            Ok(None) => return Ok(Page::default()),
            Err(FileError::System(error)) if error.kind() == std::io::ErrorKind::NotADirectory => {
                return Ok(Page::default());
            }
            Err(error) => return Err(error.into()),
        };
        let mut page = Page::default();
        for name in directory.names()? {
            if name.strip_suffix(".json").is_none() {
                continue;
            }
            let Ok(Some(bytes)) = directory.read(&name) else {
                continue;
            };
            if let Ok(file) = serde_json::from_slice::<RecordFile>(&bytes) {
                let record = Record {
                    info: file.info,
                    lease: file.lease,
                };
                page.records.push((file.lock_id, record));
            }
        }
        Ok(page)
    }
}
