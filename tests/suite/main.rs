//! The integration suite: tflock as its users meet it, against real engines and the real terraform.

mod support;

mod support_works;
