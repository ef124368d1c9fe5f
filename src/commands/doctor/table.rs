//! Checks of the table: endpoint, key, and each permission.

use super::report::Told;
use super::{CREDENTIALS, Doctor, permitted};
use crate::failure::Failure;
use crate::lock::read::{patiently, read};
use crate::lock::store::aws::AwsAccess;
use crate::lock::store::dynamodb::DynamoDbStore;
use crate::lock::store::{Store as _, StoreErrorKind};

impl Doctor<'_> {
    pub(super) async fn examine_table(&mut self, access: &AwsAccess, item: &DynamoDbStore) -> Told {
        let machine = self.context.machine();
        let endpoint = access.dynamodb_endpoint();
        let described = patiently(item, &machine, || item.describe()).await;
        self.clock = item.clock().or(self.clock);
        match described {
            Ok(table) => {
                self.report
                    .good("dynamodb", format!("{endpoint} answers"))?;
                let billing = if table.is_on_demand {
                    "on demand"
                } else {
                    "provisioned"
                };
                let message = format!("`{}` has the key `LockID`, {billing}", item.table());
                self.report.good("table", message)?;
            }
            Err(error) => match error.kind {
                StoreErrorKind::AccessDenied => {
                    self.report
                        .good("dynamodb", format!("{endpoint} answers"))?;
                    let check = "dynamodb:DescribeTable";
                    self.report.fault(check, Failure::of_check(error))?;
                }
                StoreErrorKind::NotFound => {
                    self.report
                        .good("dynamodb", format!("{endpoint} answers"))?;
                    let create = self.context.command_line("create-table");
                    let failure = Failure::of_check(error).hint(format!(
                        "create it with `{create}`, or correct the table's name or region in the backend"
                    ));
                    self.is_in_reach = false;
                    return self.report.fault("table", failure);
                }
                kind if kind.is_about_credentials() => {
                    return self.out_of_reach(CREDENTIALS, error);
                }
                StoreErrorKind::Unsuitable => return self.out_of_reach("table", error),
                StoreErrorKind::ClockCorrected | StoreErrorKind::ClockOff => {
                    return self.out_of_reach("clock", error);
                }
                _ => return self.out_of_reach("dynamodb", error),
            },
        }
        let seen = read(item, &machine).await;
        self.is_in_reach &= seen.is_ok();
        let seen = seen.map(|_| format!("`{}` can be read", item.key()));
        self.report.tried("dynamodb:GetItem", seen)?;
        let own = item.for_doctor();
        let put = permitted(
            patiently(&own, &machine, || Box::pin(own.try_put())),
            patiently(item, &machine, || Box::pin(item.try_put())),
        );
        let done = "items can be written, and conditions are honoured";
        self.tell_permitted("dynamodb:PutItem", done, own.key(), put.await)?;
        let delete = permitted(
            patiently(&own, &machine, || Box::pin(own.try_delete())),
            patiently(item, &machine, || Box::pin(item.try_delete())),
        );
        let done = "items can be removed, and conditions are honoured";
        self.tell_permitted("dynamodb:DeleteItem", done, own.key(), delete.await)
    }
}
