//! Clouds: the hosts and audiences that belong together.
//!
//! Four clouds are built in. The list [`Cloud::names`] is the only one: parameters and messages use
//! it. An operator's file can define another cloud. A request cannot name a host.

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use crate::identity::Resource;
use crate::names::{alike, suggestion};
use crate::net::Audience;
use crate::net::message::is_loopback;
use crate::protocol::{ErrorKind, Failure, decode_object, strict_object};

/// The operator's setting that defines a cloud.
const SETTING: &str = "--endpoints";

/// The services of one cloud.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Its id: `commercial`, `gcc`, `gcc_high`, `dod`, or the operator's own.
    pub id: String,
    /// Sign-in.
    pub login: Url,
    /// Microsoft Graph.
    pub graph: Url,
    /// The Office 365 Management APIs.
    pub management: Url,
    /// Exchange Online's administration.
    pub exchange: Url,
    /// A virtual machine's metadata service.
    pub metadata: Url,
    /// The audiences of tokens.
    pub audiences: Audiences,
}

/// The resource URIs that tokens are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audiences {
    /// For Microsoft Graph.
    pub graph: Audience,
    /// For the Office 365 Management APIs.
    pub management: Audience,
    /// For Exchange Online.
    pub exchange: Audience,
}

/// A built-in cloud. Its addresses are also its audiences.
struct Row {
    id: &'static str,
    login: &'static str,
    graph: &'static str,
    management: &'static str,
    exchange: &'static str,
}

const CLOUDS: [Row; 4] = [
    Row {
        id: Cloud::DEFAULT,
        login: "https://login.microsoftonline.com",
        graph: "https://graph.microsoft.com",
        management: "https://manage.office.com",
        exchange: "https://outlook.office365.com",
    },
    Row {
        id: "gcc",
        login: "https://login.microsoftonline.com",
        graph: "https://graph.microsoft.com",
        management: "https://manage-gcc.office.com",
        exchange: "https://outlook.office365.com",
    },
    Row {
        id: "gcc_high",
        login: "https://login.microsoftonline.us",
        graph: "https://graph.microsoft.us",
        management: "https://manage.office365.us",
        exchange: "https://outlook.office365.us",
    },
    Row {
        id: "dod",
        login: "https://login.microsoftonline.us",
        graph: "https://dod-graph.microsoft.us",
        management: "https://manage.protection.apps.mil",
        exchange: "https://webmail.apps.mil",
    },
];

const METADATA: &str = "http://169.254.169.254";

/// An operator's cloud, and the trust roots in its file.
#[derive(Clone, Debug)]
pub struct OperatorCloud {
    /// The cloud.
    pub cloud: Cloud,
    /// Trust roots as PEM text.
    pub ca: Option<String>,
}

/// An operator's endpoints file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointsFile {
    /// The schema that an editor checks this file with.
    #[serde(rename = "$schema")]
    #[expect(dead_code, reason = "only editors read it")]
    schema: Option<String>,
    /// Version of this file format; 1.
    cloud: u64,
    /// The name of the cloud.
    id: String,
    /// The address of the login service: https, or http on a loopback address.
    login: String,
    /// The address of Microsoft Graph.
    graph: String,
    /// The address of the Management Activity API.
    management: String,
    /// The address of the Exchange administration.
    exchange: String,
    /// The address of a virtual machine's metadata service.
    metadata: Option<String>,
    /// Additional trust roots, PEM text.
    ca: Option<String>,
    /// The audiences of tokens. Default: the audiences of the cloud that the request names.
    audiences: Option<FileAudiences>,
}

/// The audiences of tokens, as resource addresses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileAudiences {
    /// For Microsoft Graph.
    graph: Option<String>,
    /// For the Management Activity API.
    management: Option<String>,
    /// For Exchange.
    exchange: Option<String>,
}

impl Cloud {
    /// The cloud of a connection that names none.
    pub const DEFAULT: &'static str = "commercial";

    /// The names of the built-in clouds.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        CLOUDS.iter().map(|row| row.id)
    }

    /// The built-in cloud with this name, in any spelling (`GCC High`).
    pub fn named(name: &str) -> Result<Self, Failure> {
        let row = CLOUDS.iter().find(|row| alike(row.id, name));
        row.and_then(Row::open).ok_or_else(|| {
            let hint = suggestion(name, Cloud::names());
            let message = format!("There is no cloud \"{name}\". {hint}");
            Failure::invalid_input("/connection/cloud", message)
        })
    }

    /// The built-in cloud with this address of the Management API, with or without `/api/v1.0/`.
    pub fn at(base_url: &str) -> Option<Self> {
        let origin = origin(base_url, "/api/v1.0")?;
        let row = CLOUDS.iter().find(|row| origin == row.management);
        row.and_then(Row::open)
    }

    /// The first built-in cloud with this address of Exchange Online. Clouds can share an address.
    pub fn at_exchange(url: &str) -> Option<Self> {
        let origin = origin(url, "/powershell-liveid")?;
        let row = CLOUDS.iter().find(|row| origin == row.exchange);
        row.and_then(Row::open)
    }

    /// The addresses that [`Cloud::at_exchange`] accepts, for messages.
    pub fn exchange_urls() -> String {
        let mut urls: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in CLOUDS {
            // Two clouds share one address.
            match urls.iter_mut().find(|(url, _)| *url == row.exchange) {
                Some((_, ids)) => ids.push(row.id),
                None => urls.push((row.exchange, vec![row.id])),
            }
        }
        let urls = urls
            .iter()
            .map(|(url, ids)| format!("{url} ({})", ids.join(", ")));
        urls.collect::<Vec<_>>().join(", ")
    }

    /// The addresses that [`Cloud::at`] accepts, for messages.
    pub fn base_urls() -> String {
        let url = |row: &Row| format!("{}/api/v1.0/ ({})", row.management, row.id);
        CLOUDS.iter().map(url).collect::<Vec<_>>().join(", ")
    }

    /// The services as tokens name them.
    pub fn resources(&self) -> Vec<Resource> {
        let of = |audience: &Audience, application_id| Resource {
            audience: audience.clone(),
            application_id,
        };
        vec![
            of(
                &self.audiences.graph,
                "00000003-0000-0000-c000-000000000000",
            ),
            of(
                &self.audiences.management,
                "c5393580-f805-4401-95e8-94b7a6ef2fc2",
            ),
            of(
                &self.audiences.exchange,
                "00000002-0000-0ff1-ce00-000000000000",
            ),
        ]
    }

    /// Reads an operator's file. Missing audiences are those of `named`, the cloud that the request
    /// names.
    ///
    /// Errors: `invalid_input` at `--endpoints`, all faults at once.
    pub fn from_operator(text: &str, named: &Cloud) -> Result<OperatorCloud, Failure> {
        let file = read(text)?;
        let mut faults = Vec::new();
        let mut address = |member: &str, text: &str, secret: bool| {
            open(member, text, secret)
                .map_err(|fault| faults.push(fault))
                .ok()
        };
        let metadata = file.metadata.as_deref().unwrap_or(METADATA);
        let addresses = (
            address("login", &file.login, true),
            address("graph", &file.graph, true),
            address("management", &file.management, true),
            address("exchange", &file.exchange, true),
            address("metadata", metadata, false),
        );
        let (Some(login), Some(graph), Some(management), Some(exchange), Some(metadata)) =
            addresses
        else {
            return Err(Failure::join(faults).unwrap_or_else(|| fault("The file cannot be read.")));
        };
        let cloud = Cloud {
            id: file.id,
            login,
            graph,
            management,
            exchange,
            metadata,
            audiences: named
                .audiences
                .clone()
                .with(file.audiences.unwrap_or_default()),
        };
        let ca = file.ca;
        Ok(OperatorCloud { cloud, ca })
    }
}

/// The scheme, host and port of an address with this path or none.
fn origin(url: &str, path: &str) -> Option<String> {
    let url = Url::parse(url.trim()).ok()?;
    let given = url.path().to_ascii_lowercase();
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_plain = !has_user && url.query().is_none() && url.fragment().is_none();
    let is_known = ["", path].contains(&given.trim_end_matches('/'));
    (is_plain && is_known).then(|| url.origin().ascii_serialization())
}

impl Row {
    fn open(&self) -> Option<Cloud> {
        let audience = |text: &str| Audience(text.to_owned());
        Some(Cloud {
            id: self.id.to_owned(),
            login: Url::parse(self.login).ok()?,
            graph: Url::parse(self.graph).ok()?,
            management: Url::parse(self.management).ok()?,
            exchange: Url::parse(self.exchange).ok()?,
            metadata: Url::parse(METADATA).ok()?,
            audiences: Audiences {
                graph: audience(self.graph),
                management: audience(self.management),
                exchange: audience(self.exchange),
            },
        })
    }
}

impl Audiences {
    /// The audiences of the file. Missing ones are those of this cloud.
    fn with(self, file: FileAudiences) -> Self {
        let or = |uri: Option<String>, usual| match uri {
            Some(uri) => Audience(uri.trim_end_matches('/').to_owned()),
            None => usual,
        };
        Audiences {
            graph: or(file.graph, self.graph),
            management: or(file.management, self.management),
            exchange: or(file.exchange, self.exchange),
        }
    }
}

fn fault(message: impl Into<String>) -> Failure {
    Failure::invalid_input(SETTING, message)
        .advice("Correct the endpoints file. `soarhost simulate` prints a valid one.")
}

fn read(text: &str) -> Result<EndpointsFile, Failure> {
    let object = strict_object(text).map_err(|error| fault(error.message()))?;
    let file: EndpointsFile =
        decode_object(&object, SETTING, ErrorKind::InvalidInput).map_err(|faults| {
            Failure::join(faults).unwrap_or_else(|| fault("The file cannot be read."))
        })?;
    match file.cloud {
        1 => Ok(file),
        other => Err(fault(format!(
            "`cloud` must be 1, the version of the file format; got {other}."
        ))),
    }
}

/// Parses an address of the file. An address that receives secrets must be https or on this
/// machine.
fn open(member: &str, text: &str, secret: bool) -> Result<Url, Failure> {
    let invalid = |why: &str| {
        Failure::invalid_input(format!("{SETTING}/{member}"), format!("\"{text}\" {why}."))
    };
    let url = Url::parse(text)
        .map_err(|_| invalid("is not an address such as https://graph.microsoft.com"))?;
    match url.scheme() {
        "https" => {}
        "http" if !secret || is_loopback(&url) => {}
        "http" => return Err(invalid("must be https, because secrets are sent to it")),
        _ => return Err(invalid("must be http or https")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(invalid("must contain only scheme, host, port and path"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"cloud":1,"id":"lab","login":"http://127.0.0.1:1/","graph":"https://g.test",
        "management":"https://m.test","exchange":"https://e.test","metadata":"http://10.0.0.1"}"#;

    fn read(text: &str) -> Result<OperatorCloud, Failure> {
        Cloud::from_operator(text, &Cloud::named("gcc").expect("a cloud"))
    }

    #[test]
    fn built_in_cloud_is_found_in_any_spelling() {
        for name in Cloud::names() {
            let cloud = Cloud::named(name).expect("a cloud");
            assert_eq!(cloud.id, name);
            let host = cloud.graph.origin().ascii_serialization();
            assert_eq!(cloud.audiences.graph.0, host);
        }
        assert_eq!(Cloud::named("GCC High").expect("a cloud").id, "gcc_high");
        let failure = Cloud::named("comercial").expect_err("no such cloud");
        assert_eq!(
            failure.to_string(),
            "/connection/cloud: There is no cloud \"comercial\". Did you mean \"commercial\"?"
        );
    }

    #[test]
    fn base_url_selects_the_cloud_with_this_address() {
        for (given, cloud) in [
            ("https://manage.office.com/api/v1.0/", "commercial"),
            ("https://manage.office.com", "commercial"),
            (" HTTPS://Manage-GCC.office.com/API/v1.0 ", "gcc"),
            ("https://manage.office365.us/", "gcc_high"),
            ("https://manage.protection.apps.mil:443/api/v1.0", "dod"),
        ] {
            assert_eq!(Cloud::at(given).expect(given).id, cloud);
        }
        for given in [
            "manage.office.com",
            "http://manage.office.com",
            "https://manage.office.com.evil.test/",
            "https://manage.office.com/api/v2.0/",
            "https://manage.office.com/?x=1",
            "https://user@manage.office.com.evil.test",
            "https://manage.office.com:8443/",
        ] {
            assert!(Cloud::at(given).is_none(), "{given}");
        }
    }

    #[test]
    fn operators_file_replaces_hosts_and_keeps_audiences() {
        let own = read(FILE).expect("a cloud").cloud;
        assert_eq!(own.id, "lab");
        assert_eq!(own.graph.as_str(), "https://g.test/");
        assert_eq!(own.audiences.management.0, "https://manage-gcc.office.com");
        let text = FILE.replace(
            "\"id\"",
            "\"audiences\":{\"graph\":\"api://x/\"},\"ca\":\"PEM\",\"id\"",
        );
        let own = read(&text).expect("a cloud");
        assert_eq!(own.cloud.audiences.graph.0, "api://x");
        assert_eq!(own.ca.as_deref(), Some("PEM"));
    }

    #[test]
    fn invalid_file_is_refused_at_the_setting() {
        let failure =
            |from: &str, to: &str| read(&FILE.replace(from, to)).expect_err(to).to_string();
        assert!(
            failure("\"cloud\":1", "\"cloud\":2")
                .contains("`cloud` must be 1, the version of the file format; got 2")
        );
        assert!(failure("\"id\"", "\"name\"").contains("Unknown key \"name\""));
        assert!(failure("https://g.test", "http://g.test").contains("--endpoints/graph: "));
        assert!(failure("https://g.test", "g.test").contains("is not an address"));
        assert!(failure("https://g.test", "https://u:p@g.test").contains("must contain only"));
        let failure = read("[]").expect_err("not an object");
        assert_eq!(failure.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            failure.to_string(),
            "--endpoints: Expected one JSON object; got an array."
        );
    }
}
