//! Lists all locks of a bucket: reads each object whose name has the suffix of a lock.

use super::S3Store;
use crate::lock::store::{Page, StoreError};

/// terraform's suffix of a lock object.
const SUFFIX: &str = ".tflock";

impl S3Store {
    /// A page is a thousand objects of any kind.
    pub(super) async fn list_objects(&self, after: Option<&str>) -> Result<Page, StoreError> {
        let client = self.connection.client().await;
        let answer = client
            .list_objects_v2()
            .bucket(&self.bucket)
            .set_continuation_token(after.map(str::to_owned))
            .send()
            .await;
        let answer = answer.map_err(|error| {
            let explained = self.explain("ListObjectsV2", &error);
            self.may_not_list(explained)
        })?;
        let mut records = Vec::new();
        let names = answer.contents.unwrap_or_default();
        for name in names.into_iter().filter_map(|object| object.key) {
            // If it is gone by now, it was released.
            if name.ends_with(SUFFIX)
                && let Some(stored) = self.get_object(&name).await?
            {
                records.push((format!("{}/{name}", self.bucket), stored.record));
            }
        }
        Ok(Page {
            records,
            next: answer.next_continuation_token,
        })
    }

    fn may_not_list(&self, error: StoreError) -> StoreError {
        use crate::lock::store::StoreErrorKind::AccessDenied;
        let remedy = (error.kind == AccessDenied).then(|| {
            format!(
                "allow `s3:ListBucket` on bucket `{}`, which only `list` needs, or look at one lock with `tflock status`",
                self.bucket
            )
        });
        StoreError {
            place: super::Store::container(self),
            remedy: remedy.or(error.remedy),
            ..error
        }
    }
}
