//! Which live system a request is for: that of a world, in a region. What the request comes with says which world, before
//! anything else looks at it; the region is the one that there is.
//!
//! Keys that begin with `ph_test_` and tracking links that begin with `trk_test_` belong to the test world, everything
//! else to the live one. Each world has its own router over its own [`AppState`], which refuses what is of the other once
//! more. The test world is opened when it is first needed; nobody opens it with a key or link that is not good.

mod opening;

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::Response;
use parking_lot::RwLock;
use posthaste_domain::ids::RegionId;
use posthaste_http::auth::{TEST_LINK, bearer};
use posthaste_live::stopping::Leave;
use posthaste_protocol::accounts::KeyWorld;
use posthaste_protocol::problem::{Code, Problem};
use tokio::sync::Mutex;
use tower::Service;

use self::opening::Opened;
pub use self::opening::Plan;
use crate::AppState;
use crate::serve::router;

/// How long to wait before the test world of a server that starts is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Which live system: a world's, of one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which world it is.
    pub world: KeyWorld,
    /// Whose zones and drivers it has.
    pub region: RegionId,
}

/// All live systems behind one door. Cheap to clone.
#[derive(Clone)]
pub struct Worlds(Arc<Inner>);

struct Inner {
    /// The system that the accounts of the process belong to; it answers, and refuses, what is of no system here.
    live: AppState,
    router: Router,
    others: HashMap<Key, Arc<TestDoor>>,
}

/// The way to the test world, which opens it when somebody comes.
pub(crate) struct TestDoor {
    live: AppState,
    plan: Plan,
    opened: RwLock<Option<Arc<Opened>>>,
    /// One opens it at a time; true once the server stops.
    opening: Mutex<bool>,
}

/// The way to the test world for those who are made before it.
#[derive(Clone, Default)]
pub(crate) struct SharedTestDoor(Arc<OnceLock<Weak<TestDoor>>>);

/// Why the test world cannot be asked now: put into a request of its, for the live world's table of access to say so.
#[derive(Clone)]
pub(crate) struct Closed(pub(crate) Problem);

/// What shows that a request is the test world's.
#[derive(Debug, PartialEq, Eq)]
enum Sign<'r> {
    Key(&'r str),
    Link(&'r str),
}

impl SharedTestDoor {
    /// Makes sure that there is a test world, and that it is open.
    pub(crate) async fn ensure(&self) -> Result<(), Problem> {
        let door = self.0.get().and_then(Weak::upgrade).ok_or_else(none)?;
        door.open().await.map(drop)
    }
}

fn none() -> Problem {
    Problem::new(Code::Conflict).detail("there is no test world on this server: only live keys are made")
}

impl Key {
    /// The one of the first region, which is the only one so far, for a world.
    #[must_use]
    pub fn first(world: KeyWorld) -> Self {
        Self { world, region: RegionId::FIRST }
    }

    fn of(request: &Request<Body>) -> Self {
        Self::first(if sign(request).is_some() { KeyWorld::Test } else { KeyWorld::Live })
    }
}

impl TestDoor {
    /// The test world. A caller who goes away does not break off its opening.
    async fn open(self: &Arc<Self>) -> Result<Arc<Opened>, Problem> {
        if let Some(opened) = &*self.opened.read() {
            return Ok(Arc::clone(opened));
        }
        let door = Arc::clone(self);
        let opening = tokio::spawn(async move { door.open_once().await });
        match opening.await {
            Ok(opened) => opened,
            Err(_) => Err(Problem::new(Code::Internal)),
        }
    }

    async fn open_once(&self) -> Result<Arc<Opened>, Problem> {
        let is_over = self.opening.lock().await;
        if *is_over {
            return Err(Problem::unavailable("the server is stopping"));
        }
        if let Some(opened) = &*self.opened.read() {
            return Ok(Arc::clone(opened));
        }
        let opened = Opened::open(&self.live, &self.plan).await.map_err(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(world = KeyWorld::Test.name(), error, "the test world cannot be opened");
            Problem::unavailable("the test world cannot be opened").retry_after(5)
        })?;
        let opened = Arc::new(opened);
        *self.opened.write() = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Whether a sign is worth opening the test world for.
    async fn is_good(&self, sign: &Sign<'_>) -> bool {
        match sign {
            Sign::Key(key) => {
                self.live.identity().admit(key).await.is_ok_and(|caller| caller.world() == KeyWorld::Test)
            }
            Sign::Link(token) => self.live.dispatch().keys().of_test_world().tracked_order(token).is_some(),
        }
    }
}

impl Worlds {
    /// The live world, and the test world of its region where `plan` says of what it is made.
    #[must_use]
    pub fn new(live: AppState, plan: Option<Plan>) -> Self {
        let test = plan.map(|plan| {
            let (opened, opening) = (RwLock::default(), Mutex::default());
            let test = Arc::new(TestDoor { live: live.clone(), plan, opened, opening });
            let _ = live.process().test_door.0.set(Arc::downgrade(&test));
            (Key { world: KeyWorld::Test, ..live.key() }, test)
        });
        let others = test.into_iter().collect();
        Self(Arc::new(Inner { router: router(live.clone()), live, others }))
    }

    /// The live world.
    #[must_use]
    pub fn live(&self) -> &AppState {
        &self.0.live
    }

    /// Answers a request in the system that it is for.
    pub fn answer(&self, request: Request<Body>) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        let answering = match self.0.others.get(&Key::of(&request)) {
            Some(door) => {
                let (inner, door) = (Arc::clone(&self.0), Arc::clone(door));
                Answering::Test(Box::pin(async move { inner.of_test_world(&door, request).await }))
            }
            None => Answering::Live(self.0.router.clone().call(request)),
        };
        async move {
            match answering {
                Answering::Live(answer) => answer.await,
                Answering::Test(answer) => answer.await,
            }
        }
    }

    /// The way to the test world of the region; none where there is none.
    fn test_door(&self) -> Option<&Arc<TestDoor>> {
        self.0.others.get(&Key { world: KeyWorld::Test, ..self.0.live.key() })
    }

    fn opened(&self) -> Option<Arc<Opened>> {
        self.test_door().and_then(|door| door.opened.read().clone())
    }

    /// Opens the test world where somebody has a key of it, so that what was under way there goes on. Tries until it has.
    pub async fn resume(self) {
        let Some(door) = self.test_door() else { return };
        loop {
            match self.0.live.identity().has_test_keys().await {
                Ok(false) => return,
                Ok(true) if door.open().await.is_ok() => return,
                Ok(true) => {}
                Err(error) => tracing::warn!(%error, "whether the test world is in use cannot be read"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The test world, where it is open.
    pub(crate) fn test(&self) -> Option<AppState> {
        self.opened().map(|opened| opened.app.clone())
    }

    /// The test world, opened where it is not; none where there is none, or it cannot be reached now.
    pub(crate) async fn opened_test(&self) -> Option<AppState> {
        self.test_door()?.open().await.ok().map(|opened| opened.app.clone())
    }

    /// The routes of the test world, where it is open.
    #[must_use]
    pub fn test_router(&self) -> Option<Router> {
        self.opened().map(|opened| opened.router.clone())
    }

    /// Stops all but the live world, for good, within the budget of how it is left.
    pub async fn stop(&self, how: Leave) {
        for door in self.0.others.values() {
            // One that is being opened just now is left as it is where that takes long.
            if let Ok(mut is_over) = tokio::time::timeout(how.budget().connections, door.opening.lock()).await {
                *is_over = true;
            }
            let opened = door.opened.write().take();
            if let Some(opened) = opened {
                opened.stop(how).await;
            }
        }
    }

    /// Tells the sockets of all worlds that the server goes away; nobody can follow anything from now on.
    pub(crate) fn close_streams(&self) {
        self.live().dispatch().streams().close();
        if let Some(test) = self.test() {
            test.dispatch().streams().close();
        }
    }
}

impl From<AppState> for Worlds {
    /// Without a test world.
    fn from(live: AppState) -> Self {
        Self::new(live, None)
    }
}

#[expect(clippy::large_enum_variant, reason = "nearly all requests are of the larger kind, and are not to allocate")]
enum Answering {
    Live(<Router as Service<Request<Body>>>::Future),
    /// Boxed: a connection of the live world does not carry room for it.
    Test(Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>),
}

impl Inner {
    async fn of_test_world(&self, door: &Arc<TestDoor>, mut request: Request<Body>) -> Result<Response, Infallible> {
        let opened = door.opened.read().clone();
        if let Some(opened) = opened {
            return opened.router.clone().call(request).await;
        }
        // A body is not shared between threads: what is looked at meanwhile is copied.
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        if let Some(sign) = sign_of(&uri, &headers)
            && door.is_good(&sign).await
        {
            match door.open().await {
                Ok(opened) => return opened.router.clone().call(request).await,
                Err(problem) => {
                    request.extensions_mut().insert(Closed(problem));
                }
            }
        }
        self.router.clone().call(request).await
    }
}

fn sign(request: &Request<Body>) -> Option<Sign<'_>> {
    sign_of(request.uri(), request.headers())
}

fn sign_of<'r>(uri: &'r Uri, headers: &'r axum::http::HeaderMap) -> Option<Sign<'r>> {
    let path = uri.path();
    let link = path.strip_prefix("/v1/tracking/").or_else(|| path.strip_prefix("/v1/ws/track/"));
    if let Some(token) = link {
        return token.starts_with(TEST_LINK).then_some(Sign::Link(token));
    }
    let key = bearer(headers, None).ok()?;
    key.starts_with(KeyWorld::Test.key_prefix()).then_some(Sign::Key(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderMap, HeaderValue, header};

    #[test]
    fn what_a_request_comes_with_says_whose_it_is() {
        let with = |path: &str, token: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}")).unwrap());
            let uri: Uri = path.parse().unwrap();
            sign_of(&uri, &headers).is_some()
        };
        assert!(with("/v1/orders", "ph_test_abc") && with("/v1/anything/else", "ph_test_"));
        assert!(
            !with("/v1/orders", "ph_live_abc") && !with("/v1/orders", "abc") && !with("/v1/orders", "xph_test_abc")
        );
        // A link is its own proof, whatever else comes with it.
        assert!(with("/v1/tracking/trk_test_abc", "ph_live_abc") && with("/v1/ws/track/trk_test_abc", "abc"));
        assert!(!with("/v1/tracking/trk_abc", "ph_test_abc"));
        let bare = |path: &str| sign_of(&path.parse().unwrap(), &HeaderMap::new()).is_some();
        assert!(!bare("/v1/ws/merchant?access_token=ph_test_abc") && !bare("/v1/orders") && !bare("/"));
    }
}
