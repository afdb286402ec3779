//! A simulator of Microsoft's services on 127.0.0.1, for tests, demonstrations and authors.
//!
//! [`Sim::start`] serves sign-in (by secret, certificate, person or managed identity), Graph's
//! security alerts and the Management Activity API
//! (subscriptions, lists of content, blobs of audit records, webhooks) as a [`World`] describes
//! them: real HTTP and TLS, real checks of tokens, the documented error codes, and faults on
//! demand. [`Sim::endpoints`] is what a client needs to find it, [`Sim::hook`] a receiver for
//! webhooks, [`Sim::requests`] what the client did.
//!
//! The same world gives the same answers at the same time of day, byte for byte (links carry the
//! port): ids are derived from the seed. The [`Clock`] stands still, or it runs and new content
//! arrives.
//!
//! The simulator is a stranger here. It imports nothing of the rest of the crate and shares no
//! constant with it, so that a mistake of the client is not repeated on the other side. It
//! deliberately listens nowhere and calls nobody but on loopback, writes no file and reads no
//! clock.

mod base64;
mod clock;
mod data;
mod error_table;
mod faults;
mod feed;
mod graph;
mod ids;
mod login;
mod server;
mod site;
#[cfg(test)]
mod tests;
mod world;

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use faults::{Fault, Nth, Replace};
pub use server::log::Seen;
pub use world::alerts::{Alerts, ListOrder, Paging, Update};
pub use world::apps::{App, AppSecret, ManagedIdentity, ReadyCode, RefreshTokens};
pub use world::content::{Content, GeneratedContent, LiteralBlob};
pub use world::{
    FeedState, InvalidValue, Separator, Status, Subscription, Subscriptions, Tenant, Webhook, World,
};

use server::Server;
use server::listener::{Line, Lines, Loopback};
use server::routes::Service;
use server::tls;
use site::Site;

/// How to listen on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Listen {
    /// Whether to speak HTTPS, with a certificate authority of this start's own.
    pub tls: bool,
    /// The port; 0 takes a free one.
    pub port: u16,
}

impl Default for Listen {
    fn default() -> Self {
        Self { tls: true, port: 0 }
    }
}

/// A running simulator. Dropping it stops it.
pub struct Sim {
    site: Arc<Site>,
    server: Arc<Server>,
    authority: Option<String>,
    lines: Lines,
    task: JoinHandle<()>,
}

impl Sim {
    /// Starts a simulator on the current tokio runtime.
    ///
    /// It fails when the world has no [`World::now`], and when the port is taken.
    pub async fn start(world: World, options: Listen) -> anyhow::Result<Self> {
        Self::start_with_clock(world, options, Clock::Still).await
    }

    /// Starts a simulator like [`start`](Self::start), with a clock that can run.
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
        let lines = Lines::default();
        let door = Loopback::bind(options.port, tls, lines.clone(), &world.next_page_header).await;
        let door = door.with_context(|| format!("cannot listen on 127.0.0.1:{}", options.port))?;
        let scheme = if options.tls { "https" } else { "http" };
        let base = format!("{scheme}://{}", door.address());
        let site = Arc::new(Site::new(world, (begin, clock), &base));
        let server = Arc::new(Server::new(Arc::clone(&site), authority.as_deref()));
        let task = tokio::spawn(serve(door, Arc::clone(&server)));
        Ok(Self {
            site,
            server,
            authority,
            lines,
            task,
        })
    }

    /// The endpoints file with which a client finds this simulator, `ca` included.
    pub fn endpoints(&self) -> Value {
        let base = self.site.base();
        let mut endpoints = json!({
            "cloud": 1,
            "id": "sim",
            "login": format!("{base}/login"),
            "graph": format!("{base}/graph"),
            "management": format!("{base}/management"),
            "exchange": format!("{base}/exchange"),
            "metadata": self.site.address(Service::Metadata),
        });
        if let Some(pem) = &self.authority {
            endpoints["ca"] = json!(pem);
        }
        endpoints
    }

    /// The address of a receiver of this name for webhook calls: it answers 200 to every POST.
    ///
    /// Only with TLS is it one that the service accepts, which wants HTTPS.
    pub fn hook(&self, name: &str) -> String {
        format!("{}/{name}", self.site.address(Service::Hook))
    }

    /// The identity endpoint of an app service, and the header value that it wants: what
    /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are to a process there.
    pub fn app_service(&self) -> (String, &str) {
        let endpoint = format!("{}/msi/token", self.site.address(Service::Metadata));
        (endpoint, &self.site.world.identity_header)
    }

    /// All requests so far, in the order in which they arrived.
    pub fn requests(&self) -> Vec<Seen> {
        self.server.log.entries()
    }

    /// Stops listening and drops every connection.
    pub async fn stop(mut self) {
        self.task.abort();
        self.lines.cut_all();
        // It ends as cancelled, which is what was wanted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.task.abort();
        self.lines.cut_all();
    }
}

async fn serve(door: Loopback, server: Arc<Server>) {
    let router = Router::new().fallback(server::handle).with_state(server);
    let service = router.into_make_service_with_connect_info::<Line>();
    // Serving ends only with its task.
    let _ = axum::serve(door, service).await;
}
