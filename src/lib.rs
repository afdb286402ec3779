//! The integration plugin host that a SOAR platform starts once per command. It reads one JSON
//! request from stdin, runs one command against Microsoft's services, and writes one mapped result
//! to stdout.
//!
//! # Bird's-eye view
//!
//! SOAR products offer the same few Microsoft services under different command names, parameters,
//! output shapes and failure messages. The engine therefore knows **operations** ([`ops`], calls of
//! a service) and no product. A **manifest** ([`mod@manifest`], data) describes an integration: its
//! commands, the operation of each command, the parameters that become the operation's input, and
//! the presentation of the answer. A **mapping** ([`mapping`], data) extracts event fields from the
//! raw answer with JSONPath. The **host** ([`host`]) runs these stages in order, and always returns
//! a result:
//!
//! ```text
//! stdin
//!  1 Envelope::parse        bytes → Envelope                       protocol
//!  2 Catalog::find          → manifest, command, operation         host::catalog
//!  3 CommandSpec::bind      parameters → typed input               manifest::bind, Operation::check
//!  4 secrets, connection    references, cloud, credential, state   host::prepare, secrets, connect
//!  ── a rejected request ends here: no runtime, no client, nothing sent ──
//!  5 Operation::run         → Reply                                ops → microsoft → identity → net
//!  6 Mapping::apply         raw → events                           mapping
//!  7 present                context, key fields, readable          output
//!  8 result, redact         eighteen keys, no secret, exit code    host::result, host::redact
//! stdout
//!    commit                 the new state is stored                host::PendingState
//! ```
//!
//! Stages 6 to 8 are pure: the same reply always has the same result, so saved `raw_data` can be
//! mapped again. Records are bytes: an answer is split into slices, and the slices are filtered,
//! keyed, mapped and written. No tree of a whole answer is built.
//!
//! # Where to find the code
//!
//! * The requests of a command: `manifests/*.json` → `operation` → [`ops`] → [`microsoft`].
//! * All integrations: the table in [`host::catalog`]. All operations: the table in [`ops`]. All
//!   sub-commands: the table in [`front::cli`].
//! * The wire format: [`protocol`]; its schemas are in `snapshots/schema`.
//! * JSON bytes (documents, positions, the search for secrets): [`json`].
//! * Mapping: [`mapping`]; all paths of a source are one automaton in `src/mapping/plan.rs`. `map`
//!   reads text of any size with `src/mapping/stream`. OCSF and ECS are data in `mappings`.
//! * Tools for authors: `src/front/diagnostics` (the faults that `validate` shows),
//!   `src/front/cli/mapping` (`mapping test`, `diff` and `suggest`), `src/front/cli/fmt`, `init`.
//! * Sign-in: `host::connect` selects the method, [`identity`] requests the token (its first lines
//!   list the steps for a new method), and `host::vault` stores it.
//! * Detection rules: [`rules`]; the packs are in `mappings/*/rules`.
//! * Presentation: `outputs` of a command in its manifest → [`output`].
//! * Resuming without loss: `src/ops/resume` (checkpoint, algorithm, packing), `src/ops/feed`
//!   (reading content), `src/ops/alerts` (reading alerts).
//! * Diagnosis of a connection (`doctor`): `src/ops/diagnose`, one file per group of stages.
//! * Continuous collection: `src/front/poll.rs`, a loop over the same host with a sink.
//! * Failures: [`protocol::failure`]. Each service's codes are one `match` beside its client.
//! * Limits on work and memory: `net::deadline`, `net::memory`, `protocol::watch`, `host::limits`.
//! * Features that an operator can forbid: `host::policy`.
//!
//! # Ranks
//!
//! A module imports lower ranks only (`tests/it/architecture.rs` reads the `use` lines):
//!
//! ```text
//! 6  front ──────────────┐ (its simulate and sandbox start the simulator, and nothing else does)
//! 5  host                │
//! 4  ops        output   │        sim   (imports nothing of ours)
//! 3  microsoft           │
//! 2  identity            │
//! 1  net   manifest   mapping   rules
//! 0  json   protocol   clock   when   names
//! ```
//!
//! Two further rules: the engine (`net`, `identity`, `microsoft`, `ops`) does not import
//! presentation (`manifest`, `mapping`, `rules`, `output`), and presentation does not import the engine.
//! Only `host` imports both.
//!
//! # Invariants
//!
//! 1. `protocol` performs no input or output and knows nothing of Microsoft.
//! 2. `ops` and lower ranks contain no product name and no integration id.
//! 3. Only `front` uses stdin, stdout and arguments. Only `host::secrets` and the flags read the
//!    environment. Only `clock` reads the time of day. Only `net::client` names reqwest, only
//!    `mapping::path` names `jsonpath_rust`. Only `host::private_file` (tokens, states), a poll's
//!    file sink and authors' tools write files.
//! 4. No request can name a host. It selects a cloud by name, or by an address in the table of
//!    clouds; only an operator's flag sets other endpoints. Links in answers are followed only to
//!    the host that sent them. A bearer token is sent over plain HTTP only to a loopback address.
//! 5. No code checks whether the service is the simulator.
//! 6. `Host::run` always returns a [`protocol::ResultEnvelope`], with the state to commit after the
//!    result was written.
//! 7. A [`protocol::Secret`] cannot be printed or serialized. Tokens never enter a request or a
//!    state.
//! 8. Mapping and presentation use no clock, no network and no randomness.

pub mod clock;
pub mod front;
pub mod host;
pub mod identity;
pub mod json;
pub mod manifest;
pub mod mapping;
pub mod microsoft;
pub mod names;
pub mod net;
pub mod ops;
pub mod output;
pub mod protocol;
pub mod rules;
#[cfg(feature = "sim")]
pub mod sim;
pub mod when;
