//! posthaste-domain
