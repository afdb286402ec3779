//! Resolves secret references within an allow-list, and registers every value for redaction.
//!
//! Only this module reads environment variables and files that a request names: variables with the
//! prefix `SOAR_` or allowed by the operator, and files in the operator's folder. A failure
//! contains the reference, never the value.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::manifest::{Bound, Manifest, Param, Slot};
use crate::names::alike;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::secret::SecretRef;
use crate::protocol::{Redactor, Secret};

/// The largest secret file, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The variables and files that references can name.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    /// Environment variables without the prefix `SOAR_`.
    pub env: Vec<String>,
    /// The folder of `file:` references. Without it, no file is allowed.
    pub folder: Option<PathBuf>,
    /// The value of references to variables that are not set, for the simulator and for `validate`.
    /// Without it, these references fail.
    pub placeholder: Option<Secret>,
    /// Allow referenced secrets with insecure TLS.
    pub insecure_tls: bool,
}

/// Resolved secrets by slot.
pub type Secrets = BTreeMap<Slot, Secret>;

/// Registers every literal value of a secret parameter, in `connection` and in `inputs`, because
/// failures of a rejected request are redacted, too.
pub fn register(manifest: &Manifest, parameters: &Map<String, Value>, redactor: &Redactor) {
    for (key, value) in parameters {
        let named = |param: &&Param| param.names().any(|name| alike(name, key));
        let Some(named) = manifest.connection.iter().find(named) else {
            continue;
        };
        let secrets = manifest.connection.iter().filter(|param| param.secret);
        let values = secrets.filter_map(|param| {
            if param.id == named.id {
                Some(param.unwrapped(value))
            } else {
                param.part(named, value)
            }
        });
        for text in values.filter_map(Value::as_str) {
            if let SecretRef::Literal(secret) = SecretRef::parse(text) {
                redactor.register(&secret);
            }
        }
    }
}

/// Resolves the secrets of the used slots. Returns those that could be resolved, and a fault for
/// each of the others.
pub fn resolve(
    bound: &Bound,
    used: impl Fn(Slot) -> bool,
    allowed: &AllowList,
    redactor: &Redactor,
) -> (Secrets, Vec<Failure>) {
    let mut faults = Vec::new();
    let mut secrets = Secrets::new();
    for (slot, text) in bound.secrets().filter(|(slot, _)| used(*slot)) {
        match resolve_one(text, allowed) {
            Ok(secret) => {
                redactor.register(&secret);
                secrets.insert(slot, secret);
            }
            Err(failure) => {
                let at = format!("/connection/{}", slot.name());
                faults.push(bound.located(failure.at(at)));
            }
        }
    }
    (secrets, faults)
}

fn resolve_one(text: &str, allowed: &AllowList) -> Result<Secret, Failure> {
    match SecretRef::parse(text) {
        SecretRef::Literal(secret) => Ok(secret),
        SecretRef::Env(name) => from_env(&name, allowed),
        SecretRef::File(path) => from_file(&path, allowed),
    }
}

fn unavailable(reference: &str, why: &str) -> Failure {
    let message = format!("The secret reference \"{reference}\" {why}.");
    Failure::new(ErrorKind::SecretUnavailable, message)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that resolves env references"
)]
fn from_env(name: &str, allowed: &AllowList) -> Result<Secret, Failure> {
    let reference = format!("env:{name}");
    if !name.starts_with("SOAR_") && !allowed.env.iter().any(|known| known == name) {
        return Err(unavailable(&reference, "is not allowed").advice(format!(
            "Use a name with the prefix SOAR_, or start the host with --allow-env {name}."
        )));
    }
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
        Ok(_) => Err(unavailable(&reference, "names an empty variable")
            .advice(format!("Set {name} in the environment of the host."))),
        Err(std::env::VarError::NotPresent) => allowed.placeholder.clone().ok_or_else(|| {
            unavailable(&reference, "names a variable that is not set")
                .advice(format!("Set {name} in the environment of the host."))
        }),
        Err(std::env::VarError::NotUnicode(_)) => Err(unavailable(
            &reference,
            "names a variable that is not UTF-8",
        )),
    }
}

fn from_file(path: &str, allowed: &AllowList) -> Result<Secret, Failure> {
    let reference = format!("file:{path}");
    let folder = allowed.folder.as_ref().ok_or_else(|| {
        unavailable(&reference, "is not allowed: the host has no secrets folder")
            .advice("Start the host with --secrets-dir DIR and move the file there.")
    })?;
    let real = path_in_folder(folder, path).ok_or_else(|| {
        unavailable(&reference, "names no file in the secrets folder")
            .advice("Use the path of a file in the folder of --secrets-dir.")
    })?;
    let size = std::fs::metadata(&real).map_or(0, |meta| meta.len());
    if size > MAX_FILE {
        return Err(unavailable(&reference, "names a file of more than 64 KiB"));
    }
    let text = std::fs::read_to_string(&real).map_err(|error| {
        unavailable(&reference, "names a file that cannot be read").caused_by(error)
    })?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(unavailable(&reference, "names an empty file"));
    }
    Ok(Secret::new(value))
}

/// The path of a file in the folder, with links resolved. `None` if the file does not exist or is
/// outside the folder, which a caller must not be able to distinguish. A path with `..` that leaves
/// the folder is not opened.
fn path_in_folder(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let mut depth = 0_usize;
    for component in inside.components() {
        depth = match component {
            Component::Normal(_) => depth + 1,
            Component::CurDir => depth,
            Component::ParentDir => depth.checked_sub(1)?,
            Component::RootDir | Component::Prefix(_) => return None,
        };
    }
    let folder = folder.canonicalize().ok()?;
    let real = folder.join(inside).canonicalize().ok()?;
    (real.starts_with(&folder) && real.is_file()).then_some(real)
}

/// The parameters with `***` instead of literal secrets. References are not changed.
pub fn shown(
    parameters: &Map<String, Value>,
    is_secret: impl Fn(&str) -> bool,
) -> Map<String, Value> {
    let shown = |key: &str, value: &Value| match value.as_str().map(SecretRef::parse) {
        Some(SecretRef::Literal(_)) | None if is_secret(key) && value != "" => {
            Value::String("***".to_owned())
        }
        _ => value.clone(),
    };
    parameters
        .iter()
        .map(|(key, value)| (key.clone(), shown(key, value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, allowed: &AllowList) -> String {
        resolve_one(text, allowed)
            .expect_err("it is rejected")
            .message()
            .to_owned()
    }

    #[test]
    fn reference_outside_the_allow_list_is_rejected() {
        let nothing = AllowList::default();
        assert_eq!(
            message("env:PATH", &nothing),
            "The secret reference \"env:PATH\" is not allowed."
        );
        assert!(message("env:SOAR_NOT_SET_ANYWHERE", &nothing).ends_with("not set."));
        assert!(message("file:/etc/passwd", &nothing).ends_with("no secrets folder."));
        let path = AllowList {
            env: vec!["PATH".to_owned()],
            ..AllowList::default()
        };
        assert!(resolve_one("env:PATH", &path).is_ok());
    }

    #[test]
    fn file_outside_the_folder_is_rejected_and_not_revealed() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("secrets");
        std::fs::create_dir(&folder).expect("a folder");
        let put = |path: &Path, text: &str| {
            std::fs::File::create(path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .expect("a file");
        };
        put(&folder.join("good"), "a secret value\r\n");
        put(&folder.join("empty"), "\n");
        put(&outer.path().join("outside"), "x");
        std::os::unix::fs::symlink(outer.path().join("outside"), folder.join("link"))
            .expect("a link");
        let allowed = AllowList {
            folder: Some(folder),
            ..AllowList::default()
        };
        let good = resolve_one("file:good", &allowed).expect("the file exists");
        assert_eq!(good.expose(), "a secret value");
        assert!(message("file:empty", &allowed).ends_with("empty file."));
        let absolute = outer.path().join("secrets/good");
        assert!(resolve_one(&format!("FILE:{}", absolute.display()), &allowed).is_ok());
        let outside = outer.path().join("outside").display().to_string();
        for refused in [
            "absent",
            "link",
            "../outside",
            "../nothing",
            "dir/../../outside",
            &outside,
        ] {
            let expected = format!(
                "The secret reference \"file:{refused}\" names no file in the secrets folder."
            );
            assert_eq!(message(&format!("file:{refused}"), &allowed), expected);
        }
    }
}
