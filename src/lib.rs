//! The integration plugin host a SOAR platform starts once per command: one JSON envelope in on
//! stdin, one command carried out against Microsoft's services, one mapped result out on stdout.
//!
//! # Bird's-eye view
//!
//! A SOAR product gives the same few Microsoft services a *face* of its own: other command names,
//! other parameters, other output shapes, other words for failure. The engine therefore knows
//! **operations** ([`ops`], what can be done to a service) and no product. A **manifest**
//! ([`mod@manifest`], data) is a face: it names commands, says which operation each one calls, how
//! parameters become its input, and how the answer is shown. A **mapping** ([`mapping`], data) turns
//! the raw answer into event fields with JSONPath. The **host** ([`host`]) is one straight line from
//! envelope to result that never fails to answer:
//!
//! ```text
//! stdin
//!  1 Envelope::parse        bytes → Envelope                  protocol
//!  2 Catalog::find          → manifest, command, operation    host::catalog
//!  3 CommandSpec::bind      what was written → typed input    manifest::bind, Operation::check
//!  4 secrets, connection    references, cloud, credential     host::secrets, host::connect
//!    kept state             a name's lock, where to go on     host::state_dir
//!  ── a request that is refused stops here: no runtime, no client, nothing sent ──
//!  5 Operation::run         → Reply                           ops → microsoft → identity → net
//!  6 Mapping::apply         raw → events                      mapping
//!  7 present                context, key fields, readable     output
//!  8 close                  eighteen keys, one exit code      host::close
//! stdout
//!    commit                 the kept state moves              host::Keep
//! ```
//!
//! Everything from stage 6 on is pure: the same reply always gives the same result, which is why
//! saved `raw_data` can be mapped again. Records are bytes: an answer is cut into slices, and the
//! slices are filtered, keyed, mapped and written through; no tree of a whole answer is built.
//!
//! # Where to find what
//!
//! * What does a command send? `manifests/*.json` → `operation` → [`ops`] → [`microsoft`].
//! * All integrations: the table in [`host::catalog`]. All operations: the table in [`ops`]. All
//!   sub-commands: the table in [`front::cli`].
//! * What crosses the pipe: [`protocol`]; its schemas lie in `snapshots/schema`.
//! * How an answer becomes events: [`mapping`]; its automaton in
//!   `src/mapping/plan.rs`.
//! * How a connection signs in: `host::connect` picks the way, [`identity`] has a file for each;
//!   `host::vault` keeps what they gave.
//! * What a product shows in shapes of its own: `outputs` of a command in its manifest → [`output`].
//! * What resumes from run to run: `src/ops/resume` (state and algorithm), `src/ops/feed` (reading).
//! * What goes wrong, and what that means: [`protocol::failure`]; each service's codes in one
//!   `match` beside its client.
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
//! 1  net   manifest   mapping
//! 0  protocol   clock   when   names
//! ```
//!
//! Two further cuts: the engine (`net`, `identity`, `microsoft`, `ops`) does not see how it is
//! presented; presentation (`manifest`, `mapping`, `output`) does not see where data comes from.
//! They meet in `host` alone.
//!
//! # Invariants
//!
//! 1. `protocol` performs no input or output and has never heard of Microsoft.
//! 2. `ops` and below contain no product name and no integration id.
//! 3. Nothing but `front` touches stdin, stdout or arguments; nothing but `host::secrets` and the
//!    flags read the environment; nothing but `clock` reads the time of day; nothing but
//!    `net::client` names reqwest; nothing but `mapping::path` names `jsonpath_rust`; nothing but
//!    `host::private_file` writes files, for the vault and the kept states.
//! 4. No envelope can name a host. It chooses a cloud, by its name or by an address that the table
//!    of clouds has; only the operator's flag gives endpoints. Links found in answers are followed
//!    only to the host they came from. A bearer token is never sent over plain http except to a
//!    loopback address.
//! 5. Nothing asks whether it is talking to a simulator.
//! 6. `Host::run` has no way out except an answer: a [`protocol::ResultEnvelope`] and, beside it,
//!    what is to be kept once that was written out.
//! 7. A [`protocol::Secret`] cannot be printed or serialized; tokens never enter an envelope or a
//!    state.
//! 8. Mapping and presentation know no clock, no network and no randomness.

pub mod clock;
pub mod front;
pub mod host;
pub mod identity;
pub mod manifest;
pub mod mapping;
pub mod microsoft;
pub mod names;
pub mod net;
pub mod ops;
pub mod output;
pub mod protocol;
#[cfg(feature = "sim")]
pub mod sim;
pub mod when;
