//! posthaste-geography
