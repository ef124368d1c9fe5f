//! Lists all records of a directory.

use super::trouble::Trouble;
use super::{LocalStore, RecordFile};
use crate::lock::record::Record;
use crate::lock::store::Page;

impl LocalStore {
    /// All of them in one page. Files that are not records, or cannot be read, are left out.
    pub(super) fn list_files(&self) -> Result<Page, Trouble> {
        let Some(directory) = self.open_directory()? else {
            return Ok(Page::default());
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
