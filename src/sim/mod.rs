//! A simulator of Microsoft's services on 127.0.0.1, for tests, demonstrations and authors.
//!
//! [`Sim::start`] serves what a [`World`] describes, with real HTTP and TLS, real token checks and
//! the documented error codes:
//!
//! - `login`: sign-in with secrets, certificates, users, device codes and managed identities,
//! - `graph`: security alerts and audit-log queries,
//! - `feed`: the Management Activity API with subscriptions, listings, content and webhooks,
//! - `exchange`: the search of the audit log,
//! - `faults`: fault injection.
//!
//! `world` is the file format, `data` generates alerts and audit records, `server` is HTTP.
//!
//! At a given time, a world always returns the same bytes (links contain the port): all ids and
//! values are derived from its seed. The [`Clock`] stands still or runs.
//!
//! The simulator is independent of the client: it imports nothing from the rest of the crate and
//! shares no constants with it, so a mistake in the client is not repeated here. It listens and
//! calls on loopback only, writes no files and does not read the clock.

mod base64;
mod clock;
mod context;
mod data;
mod error_table;
mod exchange;
mod faults;
mod feed;
mod graph;
mod ids;
mod login;
mod server;
#[cfg(test)]
mod tests;
mod world;

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use faults::{Fault, Nth, Replace};
pub use server::log::LoggedRequest;
pub use world::alerts::{Alerts, ListOrder, Paging, Update};
pub use world::apps::{App, AppSecret, ManagedIdentity, ReadyCode, RefreshTokens};
pub use world::audit_queries::{AuditQueries, DeleteQuery, Outcome};
pub use world::content::{Content, GeneratedContent, LiteralBlob};
pub use world::device_sign_in::{Decision, DeviceSignIn};
pub use world::exchange::{Exchange, ForbiddenBody, OddEffect, OddPage, ResultCount};
pub use world::story::{Attack, Story};
pub use world::{
    FeedState, InvalidValue, Status, Subscription, Subscriptions, Tenant, Webhook, World,
};

use context::Context;
use server::Server;
use server::listener::serve;
use server::routes::Service;
use server::tls;

/// How the simulator listens on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// Whether to use HTTPS, with a certificate authority that is created at each start.
    pub tls: bool,
    /// The port; 0 chooses a free one.
    pub port: u16,
}

impl Default for Listen {
    fn default() -> Self {
        Self { tls: true, port: 0 }
    }
}

/// A running simulator. It stops when it is dropped.
pub struct Sim {
    context: Arc<Context>,
    server: Arc<Server>,
    authority: Option<String>,
    task: JoinHandle<()>,
}

impl Sim {
    /// Starts a simulator on the current tokio runtime.
    ///
    /// Fails if the world has no [`World::now`] or if the port is in use.
    pub async fn start(world: World, options: Listen) -> anyhow::Result<Self> {
        Self::start_with_clock(world, options, Clock::Still).await
    }

    /// Starts a simulator with a clock that can run.
    pub async fn start_with_clock(
        world: World,
        options: Listen,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let begin = world
            .now
            .context("the world has no time of day; its starter sets `now`")?;
        let (tls, authority) = if options.tls {
            tls::establish(world.http2).map(|(tls, pem)| (Some(tls), Some(pem)))?
        } else {
            (None, None)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
        let listener =
            listener.with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
        let scheme = if options.tls { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.local_addr()?);
        let context = Arc::new(Context::new(world, (begin, clock), &base));
        let server = Arc::new(Server::new(Arc::clone(&context), authority.as_deref()));
        let task = tokio::spawn(serve(listener, tls, Arc::clone(&server)));
        Ok(Self {
            context,
            server,
            authority,
            task,
        })
    }

    /// The endpoints file for a client of this simulator, with its certificate authority in `ca`.
    pub fn endpoints(&self) -> Value {
        let base = self.context.base();
        let mut endpoints = json!({
            "cloud": 1,
            "id": "sim",
            "login": format!("{base}/login"),
            "graph": format!("{base}/graph"),
            "management": format!("{base}/management"),
            "exchange": format!("{base}/exchange"),
            "metadata": self.context.address(Service::Metadata),
        });
        if let Some(pem) = &self.authority {
            endpoints["ca"] = json!(pem);
        }
        endpoints
    }

    /// The address of a webhook receiver with this name. It answers 200 to every POST.
    ///
    /// The service accepts it only if the simulator uses TLS, because webhooks need HTTPS.
    pub fn webhook_receiver(&self, name: &str) -> String {
        format!("{}/{name}", self.context.address(Service::Hook))
    }

    /// The values of `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` for a process of the simulated app
    /// service.
    pub fn app_service(&self) -> (String, &str) {
        let endpoint = format!("{}/msi/token", self.context.address(Service::Metadata));
        (endpoint, &self.context.world.identity_header)
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.server.log.entries()
    }

    /// Stops listening and drops all connections.
    pub async fn stop(mut self) {
        self.task.abort();
        // The task was cancelled, so its result is an error.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.task.abort();
    }
}
