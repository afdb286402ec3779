//! The request: parses one envelope and reports every fault of its form at once.
//!
//! Does not check whether names exist or whether inputs are valid: `host` and `manifest` do.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json::Document;
use crate::json::document::{Member, members};
use crate::json::whitespace::strip_whitespace;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::shape::{quoted, type_name};
use crate::protocol::strict::{check, decode_object, field_names, unknown_keys};
use crate::protocol::{PROTOCOL, State, state};

/// The maximum size of a request, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// One command to run.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// JSON Schema of the file, for editors. Ignored by the host.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Major version of the protocol.
    #[serde(default = "protocol")]
    #[schemars(range(min = 1))]
    pub protocol: u64,
    /// 1 to 128 visible ASCII characters. Returned in the result and sent to the service as
    /// `client-request-id`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[!-~]+$"))]
    pub id: Option<String>,
    /// `id` or `id@version`. Required only if the command's name is not unique in the catalog.
    #[serde(default)]
    pub integration: Option<String>,
    /// Id, display name or alias of the command. Case, spaces and punctuation are ignored.
    pub command: String,
    /// Connection parameters, or the name of a stored profile.
    #[serde(default)]
    pub connection: Connection,
    /// The command's inputs, by id or display name.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// A mapping's name, a whole mapping, or a patch. Null: the mapping of the manifest.
    #[serde(default)]
    pub mapping: Option<MappingChoice>,
    /// The `state` of the previous result.
    #[serde(default)]
    pub state: Option<Map<String, Value>>,
    /// How to run the command.
    #[serde(default)]
    pub options: Options,
    /// Any JSON object. Returned unchanged in the result.
    #[serde(default)]
    #[schemars(with = "Map<String, Value>")]
    pub meta: Meta,
}

fn protocol() -> u64 {
    PROTOCOL
}

/// Connection parameters, or the name of a stored profile.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "an object of parameters or the name of a profile"
)]
pub enum Connection {
    /// The name of a stored profile.
    Profile(String),
    /// Parameters by id or display name.
    Parameters(Map<String, Value>),
}

impl Default for Connection {
    fn default() -> Self {
        Connection::Parameters(Map::new())
    }
}

/// The mapping to use instead of the manifest's.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a mapping's name, a whole mapping or {\"patch\": …}"
)]
pub enum MappingChoice {
    /// A name in the catalog.
    Named(String),
    /// A whole mapping, or `{"patch": …}`.
    Inline(Map<String, Value>),
}

/// How to run a command.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How long the command can take, in milliseconds. After that, it delivers what is finished.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// Stop after the page that reaches this number of events. A page is never cut.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_events: Option<u64>,
    /// The sections to compute; other sections are null. Null: all sections.
    #[serde(default)]
    pub include: Option<Vec<Section>>,
    /// Check the request and resolve its secrets, but send nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The name under which the host stores the state: 1 to 128 visible ASCII characters. Requires
    /// a state folder. While a run uses the name, other runs with this name fail with `busy`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[!-~]+$"))]
    pub state_key: Option<String>,
}

/// A section of the result that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Mapped events.
    Events,
    /// Indicators by name.
    KeyFields,
    /// Data that playbooks address by path.
    ContextData,
    /// The service's response body.
    RawData,
    /// Markdown for people.
    Readable,
}

impl Options {
    /// Was this section requested?
    pub fn includes(&self, section: Section) -> bool {
        self.include
            .as_ref()
            .is_none_or(|named| named.contains(&section))
    }
}

/// The request's `meta`, its tokens unchanged. An empty object if the request has none.
#[derive(Clone, Debug, Default)]
pub struct Meta(Option<Document>);

impl Meta {
    /// The document, if the request has `meta`.
    pub(crate) fn document_mut(&mut self) -> Option<&mut Document> {
        self.0.as_mut()
    }

    fn of(members: &[Member<'_>]) -> Self {
        let object = member_text(members, "meta").filter(|value| value.starts_with('{'));
        Meta(object.and_then(|value| Document::parse(value).ok()))
    }

    /// The size of the JSON text, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(2, |sent| sent.text().len())
    }
}

/// The JSON text of a member of the request.
fn member_text<'a>(members: &[Member<'a>], name: &str) -> Option<&'a str> {
    let found = members.iter().find(|member| member.name() == name);
    found.map(Member::value)
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        Ok(Meta(Document::from_value(&object).ok()))
    }
}

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(sent) => sent.serialize(serializer),
            None => Map::new().serialize(serializer),
        }
    }
}

/// A request that was refused, with the parts that the result needs.
#[derive(Debug)]
pub struct Refused {
    /// Why it was refused.
    pub failure: Failure,
    /// The request's id, if it could be read.
    pub id: Option<String>,
    /// The request's `meta`, if it could be read.
    pub meta: Meta,
    /// The request without its faulty members, if the other members can still be checked.
    pub rest: Option<Box<Envelope>>,
}

impl Envelope {
    /// Parses one envelope. Every fault of its form is reported at once.
    pub fn parse(bytes: &[u8]) -> Result<Self, Box<Refused>> {
        let unreadable = |failure| {
            Box::new(Refused {
                failure,
                id: None,
                meta: Meta::default(),
                rest: None,
            })
        };
        let text = text_of(bytes).map_err(unreadable)?;
        check(text).map_err(unreadable)?;
        let members = object(text.trim()).map_err(unreadable)?;
        let meta = Meta::of(&members);
        match Envelope::of(&members) {
            Ok(envelope) => Ok(Envelope { meta, ..envelope }),
            Err((failure, rest)) => {
                let id = member_text(&members, "id").filter(|text| text.len() < 1024);
                let id: Option<String> = id.and_then(|text| serde_json::from_str(text).ok());
                Err(Box::new(Refused {
                    failure,
                    id: id.filter(|id| is_visible_ascii(id)),
                    meta,
                    rest,
                }))
            }
        }
    }

    /// Parses the members that do not exceed their maximum size: a tree of values takes far more
    /// memory than its text. With the faults, returns the envelope without its faulty members, if
    /// it can still be checked.
    fn of(members: &[Member<'_>]) -> Result<Self, (Failure, Option<Box<Self>>)> {
        let known = field_names::<Envelope>();
        let (mut object, mut unknown, mut sizes) = (Map::new(), Vec::new(), Vec::new());
        for member in members {
            let name = member.name();
            if !known.contains(&&*name) {
                unknown.push(name);
                continue;
            }
            let (value, fault) = parse_member(&name, member.value());
            sizes.extend(fault);
            object.insert(name.into_owned(), value);
        }
        check_protocol(&object).map_err(|failure| (failure, None))?;
        let unknown: Vec<&str> = unknown.iter().map(|name| &**name).collect();
        let mut faults = unknown_keys(&unknown, ErrorKind::MalformedRequest, "", known);
        faults.append(&mut sizes);
        let rest = match decode_object::<Envelope>(&object, "", ErrorKind::MalformedRequest) {
            Ok(envelope) if faults.is_empty() => {
                faults = options_fault(&object);
                Some(envelope)
            }
            read => {
                faults.extend(read.err().into_iter().flatten());
                without_faulty_members(&object, &faults)
            }
        };
        faults.extend(rest.iter().flat_map(Envelope::faults));
        match (Failure::join(faults), rest) {
            (None, Some(envelope)) => Ok(envelope),
            (None, None) => {
                let message = "The request is malformed.";
                Err((Failure::new(ErrorKind::MalformedRequest, message), None))
            }
            (Some(failure), rest) => Err((failure, rest.map(Box::new))),
        }
    }

    /// The faults that the types cannot express.
    fn faults(&self) -> Vec<Failure> {
        let mut faults = Vec::new();
        if let Some(id) = self.id.as_deref().filter(|id| !is_visible_ascii(id)) {
            let message = name_fault("id", id);
            faults.push(Failure::new(ErrorKind::MalformedRequest, message).at("/id"));
        }
        for (name, value) in [
            ("timeout_ms", self.options.timeout_ms),
            ("max_events", self.options.max_events),
        ] {
            if value == Some(0) {
                let message = format!("`options.{name}` must be a whole number, 1 or more; got 0.");
                faults.push(Failure::invalid_input(format!("/options/{name}"), message));
            }
        }
        let key = self.options.state_key.as_deref();
        if let Some(key) = key.filter(|key| !is_visible_ascii(key)) {
            let message = name_fault("options.state_key", key);
            faults.push(Failure::invalid_input("/options/state_key", message));
        }
        faults
    }

    /// Parses the request's state.
    pub fn read_state(&self) -> Result<Option<State>, Failure> {
        let Some(object) = &self.state else {
            return Ok(None);
        };
        let unusable = || {
            Failure::invalid_input("/state", "\"state\" was not returned by this host.")
                .advice("Send the `state` of the last result unchanged, or null to start over.")
        };
        match decode_object::<State>(object, "/state", ErrorKind::InvalidInput) {
            Ok(state) if state.state == state::VERSION => Ok(Some(state)),
            _ => Err(unusable()),
        }
    }
}

/// The members of the request.
fn object(text: &str) -> Result<Vec<Member<'_>>, Failure> {
    members(text).map_err(|_| {
        let kind = type_name(&empty_like(text));
        let message = format!("The request must be one JSON object; got {kind}.");
        Failure::new(ErrorKind::MalformedRequest, message)
    })
}

/// The maximum size of a member of the envelope, in bytes of JSON.
fn max_size(key: &str) -> usize {
    match key {
        "connection" => 256 * 1024,
        "inputs" | "mapping" => 512 * 1024,
        "state" => state::MAX_BYTES,
        _ => 64 * 1024,
    }
}

/// Parses a member of the envelope. A value that is too large is replaced by an empty one and a
/// fault. The content of `meta` is not parsed.
fn parse_member(key: &str, text: &str) -> (Value, Option<Failure>) {
    if key == "meta" {
        return (empty_like(text), None);
    }
    let limit = max_size(key);
    let bytes = match text.len() {
        len if len <= limit => len,
        _ => strip_whitespace(text).map_or(text.len(), |text| text.len()),
    };
    if bytes <= limit {
        return (serde_json::from_str(text).unwrap_or_default(), None);
    }
    let message = format!("`{key}` has {bytes} bytes; the maximum is {limit}.");
    let fault = Failure::invalid_input(format!("/{key}"), message);
    (empty_like(text), Some(fault))
}

/// An empty value of the same type.
fn empty_like(text: &str) -> Value {
    match text.as_bytes().first() {
        Some(b'{') => Value::Object(Map::new()),
        Some(b'[') => Value::Array(Vec::new()),
        Some(b'"') => Value::String(String::new()),
        Some(b't' | b'f') => Value::Bool(false),
        Some(b'n') => Value::Null,
        _ => Value::from(0),
    }
}

/// The fault of options that are not an object: serde would read an array as a struct.
fn options_fault(object: &Map<String, Value>) -> Vec<Failure> {
    let options = object.get("options").filter(|given| !given.is_object());
    let fault = |given: &Value| {
        let message = format!("`options` must be an object; got {}.", type_name(given));
        Failure::new(ErrorKind::MalformedRequest, message).at("/options")
    };
    options.map(fault).into_iter().collect()
}

/// The envelope without its faulty members, if those do not change which command runs.
fn without_faulty_members(object: &Map<String, Value>, faults: &[Failure]) -> Option<Envelope> {
    let mut rest = object.clone();
    for fault in faults {
        let member = fault.place()?.split('/').nth(1)?;
        let is_optional = ["id", "mapping", "state", "options", "meta"].contains(&member);
        // An unknown key is not in the object.
        if !is_optional && object.contains_key(member) {
            return None;
        }
        rest.remove(member);
    }
    decode_object(&rest, "", ErrorKind::MalformedRequest).ok()
}

fn name_fault(name: &str, given: &str) -> String {
    let length = given.chars().count();
    let given = match length {
        0..=12 => quoted(&given.into()),
        _ => format!("{length} characters"),
    };
    format!("`{name}` must be 1 to 128 visible ASCII characters; got {given}.")
}

fn is_visible_ascii(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Checked first: another version can have another form.
fn check_protocol(object: &Map<String, Value>) -> Result<(), Failure> {
    match object.get("protocol") {
        Some(Value::Number(number)) if number.as_u64() != Some(PROTOCOL) => Err(Failure::new(
            ErrorKind::UnsupportedProtocol,
            format!("Protocol {number} is not supported. Supported: {PROTOCOL}."),
        )
        .at("/protocol")),
        _ => Ok(()),
    }
}

/// The request's text, without a byte order mark.
fn text_of(bytes: &[u8]) -> Result<&str, Failure> {
    if bytes.len() > MAX_BYTES {
        let message = "The request is larger than 16 MiB.";
        return Err(Failure::new(ErrorKind::RequestTooLarge, message));
    }
    let malformed = |message: String| Failure::new(ErrorKind::MalformedRequest, message);
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if utf16(bytes) {
        return Err(malformed(
            "The request must be UTF-8; it is UTF-16.".to_owned(),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        malformed(format!(
            "The request must be UTF-8; byte {} is invalid.",
            error.valid_up_to()
        ))
    })?;
    if text.trim().is_empty() {
        return Err(malformed("The request is empty.".to_owned())
            .advice("Send one JSON object. `soarhost sample` prints a valid request."));
    }
    Ok(text)
}

fn utf16(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'{', 0, ..] | [0, b'{', ..]
    )
}
