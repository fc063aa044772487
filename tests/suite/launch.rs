//! What launches.
