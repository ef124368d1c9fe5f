//! The addresses that a person may type: of a local state, of the installed modules, and of the configuration's blocks.
//!
//! For completion: fast, never an error, never a request. What cannot be read has no addresses. An address that a terminal
//! would not show as it is, is left out.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::backend::{data_directory, read_record};
use super::lock_name::local_state_path;
use super::workspace::selected_workspace;
use crate::environment::Environment;
use crate::system::plain_file::{self, Link};
use crate::text::printable::is_unprintable;

/// The longest file that is read: a larger one would keep the prompt waiting.
const LONGEST: u64 = 8 << 20;

/// What can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nameable {
    /// What `-target` takes: resources, their instances, data sources and modules, whether they exist yet or not.
    Targets,
    /// What a command about the state takes.
    InState,
    /// Resources of the state, without data sources and modules: what can be tainted.
    Managed,
}

#[derive(Default, Deserialize)]
struct State {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    module: Option<String>,
    mode: String,
    r#type: String,
    name: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    index_key: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    modules: Vec<Module>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    key: String,
}

/// The addresses, in order. `state_flag` is the value of `-state`. Where the state is not a local file the configuration has
/// to do.
#[must_use]
pub fn addresses(
    directory: &Path,
    environment: Environment<'_>,
    state_flag: Option<&Path>,
    nameable: Nameable,
) -> Vec<String> {
    let mut found = BTreeSet::new();
    let state = local_state(directory, environment, state_flag);
    for resource in state.iter().flat_map(|state| &state.resources) {
        resource.add_to(&mut found, nameable);
    }
    if state.is_none() || nameable == Nameable::Targets {
        add_declared(&mut found, directory, nameable);
    }
    if nameable == Nameable::Targets {
        add_modules(&mut found, &data_directory(directory, environment));
    }
    let plain = |address: &String| !address.chars().any(is_unprintable);
    found.into_iter().filter(plain).collect()
}

fn local_state(
    directory: &Path,
    environment: Environment<'_>,
    state_flag: Option<&Path>,
) -> Option<State> {
    let record = read_record(directory, environment).ok()?;
    let local = match record {
        Some(record) => record.backend.local().ok()?,
        None => Some(super::backend::LocalBackend::default()),
    };
    let workspace = selected_workspace(directory, environment).ok()?;
    let path = match (local, state_flag) {
        (Some(local), flag) => local_state_path(directory, &local, &workspace, flag),
        (None, Some(flag)) => directory.join(flag),
        (None, None) => return None,
    };
    serde_json::from_slice(&plain_file::read(&path, Link::Follow, LONGEST).ok()?).ok()
}

impl Resource {
    fn add_to(&self, found: &mut BTreeSet<String>, nameable: Nameable) {
        let is_data = self.mode == "data";
        if nameable == Nameable::Managed && is_data {
            return;
        }
        let module = self.module.as_deref();
        let data = if is_data { "data." } else { "" };
        let module_prefix = module.map_or_else(String::new, |module| format!("{module}."));
        let address = format!("{module_prefix}{data}{}.{}", self.r#type, self.name);
        let mut is_whole = self.instances.is_empty();
        for instance in &self.instances {
            match &instance.index_key {
                Some(Value::String(key)) => {
                    found.insert(format!("{address}[\"{}\"]", escaped(key)));
                }
                Some(Value::Number(index)) => {
                    found.insert(format!("{address}[{index}]"));
                }
                _ => is_whole = true,
            }
        }
        if nameable != Nameable::Managed {
            found.extend(module.map(str::to_owned));
        }
        if is_whole || nameable == Nameable::Targets {
            found.insert(address);
        }
    }
}

/// A key as terraform writes it in an address (`internal/addrs/instance_key.go`).
fn escaped(key: &str) -> String {
    let key = key.replace('\\', "\\\\").replace('"', "\\\"");
    key.replace("${", "$${").replace("%{", "%%{")
}

/// The blocks of the directory's files, told by the first line of each as `terraform fmt` leaves it: parsing hundreds of files
/// would be slow.
fn add_declared(found: &mut BTreeSet<String>, directory: &Path, nameable: Nameable) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let files = paths.filter(|path| {
        path.extension()
            .is_some_and(|ext| ext == "tf" || ext == "tofu")
    });
    for file in files {
        let Ok(text) = plain_file::read(&file, Link::Follow, LONGEST) else {
            continue;
        };
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap_or_default();
            let mut label = || words.next()?.strip_prefix('"')?.strip_suffix('"');
            let address = match (kind, label(), label()) {
                ("resource", Some(r#type), Some(name)) => format!("{type}.{name}"),
                ("data", Some(r#type), Some(name)) if nameable != Nameable::Managed => {
                    format!("data.{type}.{name}")
                }
                ("module", Some(name), _) if nameable != Nameable::Managed => {
                    format!("module.{name}")
                }
                _ => continue,
            };
            found.insert(address);
        }
    }
}

/// The modules that `terraform init` installed, however deep: those of a module are in no file of this directory.
fn add_modules(found: &mut BTreeSet<String>, data_directory: &Path) {
    let manifest = data_directory.join("modules/modules.json");
    let manifest = plain_file::read(&manifest, Link::Follow, LONGEST);
    let manifest = manifest.ok().map(|text| serde_json::from_slice(&text));
    if let Some(Ok(Manifest { modules })) = manifest {
        let keys = modules.iter().map(|module| module.key.as_str());
        let below_the_root = keys.filter(|key| !key.is_empty());
        found.extend(below_the_root.map(|key| format!("module.{}", key.replace('.', ".module."))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::environment_of;

    const STATE: &str = r#"{"version":4,"resources":[
        {"mode":"managed","type":"aws_vpc","name":"main","instances":[{}]},
        {"mode":"managed","type":"aws_subnet","name":"by_zone","instances":[{"index_key":"a\"${b}"},{"index_key":"c"}]},
        {"module":"module.db[0]","mode":"managed","type":"aws_rds","name":"it","instances":[{"index_key":0},{"index_key":1}]},
        {"mode":"data","type":"aws_ami","name":"latest","instances":[{}]},
        {"mode":"managed","type":"a","name":"\u001b]0;title\u0007","instances":[{}]}]}"#;

    fn named(directory: &Path, nameable: Nameable) -> Vec<String> {
        addresses(directory, &environment_of(&[]), None, nameable)
    }

    #[test]
    fn a_local_state_names_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        std::fs::write(directory.join("terraform.tfstate"), STATE).unwrap();
        std::fs::write(directory.join("main.tf"), "resource \"new\" \"one\" {\n").unwrap();
        let managed = [
            "aws_subnet.by_zone[\"a\\\"$${b}\"]",
            "aws_subnet.by_zone[\"c\"]",
            "aws_vpc.main",
            "module.db[0].aws_rds.it[0]",
            "module.db[0].aws_rds.it[1]",
        ];
        assert_eq!(named(directory, Nameable::Managed), managed);
        let mut in_state = managed.map(str::to_owned).to_vec();
        in_state.extend(["data.aws_ami.latest", "module.db[0]"].map(str::to_owned));
        in_state.sort();
        assert_eq!(named(directory, Nameable::InState), in_state);
        in_state.extend(
            ["aws_subnet.by_zone", "module.db[0].aws_rds.it", "new.one"].map(str::to_owned),
        );
        in_state.sort();
        assert_eq!(named(directory, Nameable::Targets), in_state);
    }

    #[test]
    fn the_state_is_that_of_the_flag_the_workspace_and_the_recorded_backend() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let one = |name: &str| {
            format!(r#"{{"resources":[{{"mode":"managed","type":"a","name":"{name}"}}]}}"#)
        };
        for (file, name) in [
            ("terraform.tfstate", "default"),
            ("other.tfstate", "flag"),
            ("states/stg/terraform.tfstate", "stg"),
        ] {
            let file = directory.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, one(name)).unwrap();
        }
        let record = r#"{"version":3,"backend":{"type":"local","config":{"path":null,"workspace_dir":"states"},"hash":1}}"#;
        std::fs::create_dir(directory.join(".terraform")).unwrap();
        std::fs::write(directory.join(".terraform/terraform.tfstate"), record).unwrap();
        for (flag, workspace, expected) in [
            (None, "", "a.default"),
            (Some("other.tfstate"), "", "a.flag"),
            (None, "stg", "a.stg"),
        ] {
            let variables = [("TF_WORKSPACE", workspace)];
            let environment = environment_of(&variables);
            let flag = flag.map(Path::new);
            let found = addresses(directory, &environment, flag, Nameable::InState);
            assert_eq!(found, [expected]);
        }
    }

    #[test]
    fn without_a_local_state_the_configuration_and_the_installed_modules_have_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let configuration = "terraform {\n  backend \"s3\" {}\n}\nresource \"aws_vpc\" \"main\" {\n}\n\
                             data \"aws_ami\" \"latest\" {}\nmodule \"db\" {\n";
        std::fs::write(directory.join("main.tf"), configuration).unwrap();
        std::fs::create_dir_all(directory.join(".terraform/modules")).unwrap();
        let manifest = r#"{"Modules":[{"Key":"","Dir":"."},{"Key":"db","Dir":"x"},{"Key":"db.net","Dir":"y"}]}"#;
        std::fs::write(directory.join(".terraform/modules/modules.json"), manifest).unwrap();
        assert_eq!(
            named(directory, Nameable::Targets),
            [
                "aws_vpc.main",
                "data.aws_ami.latest",
                "module.db",
                "module.db.module.net"
            ]
        );
        assert_eq!(
            named(directory, Nameable::InState),
            ["aws_vpc.main", "data.aws_ami.latest", "module.db"]
        );
        assert_eq!(named(directory, Nameable::Managed), ["aws_vpc.main"]);
    }

    #[test]
    fn what_cannot_be_read_has_none() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        assert_eq!(named(directory, Nameable::Targets), [""; 0]);
        std::fs::write(directory.join("terraform.tfstate"), "not JSON").unwrap();
        assert_eq!(named(directory, Nameable::Targets), [""; 0]);
    }
}
