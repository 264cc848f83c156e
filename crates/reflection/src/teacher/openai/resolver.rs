//! Looking up hosts, so that a host that cannot be found is told from a connection that ended.

use std::io::{self, ErrorKind};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The system's resolver. What it cannot find is an error of kind [`ErrorKind::HostUnreachable`] with the
/// system's words: its own errors have no kind of which anybody could know what they are about.
#[derive(Debug, Default)]
pub(super) struct Lookup(DefaultResolver);

impl Resolver for Lookup {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        self.0.resolve(uri, config, timeout).map_err(|error| match error {
            Error::Io(error) => Error::Io(io::Error::new(ErrorKind::HostUnreachable, error)),
            other => other,
        })
    }
}
