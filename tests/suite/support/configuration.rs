//! Terraform configurations that need no provider to be downloaded.

use super::backend::S3Backend;

/// The file that a waiting resource creates when its creation begins.
pub const STARTED: &str = "started";
/// The file for which a waiting resource waits.
pub const GO: &str = "go";

/// The content of `main.tf`.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    backend: Option<String>,
    blocks: Vec<String>,
}

impl Configuration {
    /// No backend block: the implied local backend, which needs no `init`.
    pub fn without_backend() -> Self {
        Self::default()
    }

    /// A `backend "local"` block with that state file.
    pub fn with_local_backend(state: &str) -> Self {
        Self::with_backend_block(&format!("backend \"local\" {{ path = {state:?} }}"))
    }

    /// A `backend "s3"` block.
    pub fn with_backend(backend: &S3Backend) -> Self {
        Self::with_backend_block(&backend.hcl())
    }

    /// Any backend block.
    pub fn with_backend_block(hcl: &str) -> Self {
        Self {
            backend: Some(hcl.to_owned()),
            blocks: Vec::new(),
        }
    }

    /// A resource that is created at once, and an output of that name with `value`.
    pub fn resource(self, name: &str, value: &str) -> Self {
        self.block(&format!(
            "resource \"terraform_data\" {name:?} {{\n  input = {value:?}\n}}\n\
             output {name:?} {{\n  value = terraform_data.{name}.output\n}}"
        ))
    }

    /// A resource whose creation makes the file [`STARTED`] in the directory and then waits for [`GO`].
    pub fn waiting_resource(self, name: &str) -> Self {
        // The second condition ends the loop after the test, should terraform have died without it.
        let script = format!(
            "touch {STARTED}; while [ ! -e {GO} ] && [ -e \\\"$PWD/main.tf\\\" ]; do sleep 0.05; done"
        );
        self.block(&format!(
            "resource \"terraform_data\" {name:?} {{\n  provisioner \"local-exec\" {{\n    \
             command = \"{script}\"\n  }}\n}}"
        ))
    }

    /// A resource whose creation fails.
    pub fn failing_resource(self, name: &str) -> Self {
        self.block(&format!(
            "resource \"terraform_data\" {name:?} {{\n  provisioner \"local-exec\" {{\n    \
             command = \"exit 3\"\n  }}\n}}"
        ))
    }

    /// Any block.
    pub fn block(mut self, hcl: &str) -> Self {
        self.blocks.push(hcl.to_owned());
        self
    }

    /// The whole text.
    pub fn hcl(&self) -> String {
        let terraform = self.backend.iter();
        let terraform = terraform.map(|backend| format!("terraform {{\n  {backend}\n}}"));
        let blocks: Vec<_> = terraform.chain(self.blocks.iter().cloned()).collect();
        blocks.join("\n\n") + "\n"
    }
}
