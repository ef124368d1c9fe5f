//! The integration suite: tflock as its users meet it, against real engines and the real terraform.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails, and says where"
)]

mod support;

mod support_works;
