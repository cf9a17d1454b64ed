//! The one choice of cryptography for TLS.

use std::sync::Once;

static INSTALLED: Once = Once::new();

/// Makes ring the process's TLS provider, once. Every [`crate::Client`] does so by itself; a program that
/// has chosen another provider before keeps it.
pub fn install_crypto() {
    INSTALLED.call_once(|| {
        // An error means that the program installed a provider before: that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
