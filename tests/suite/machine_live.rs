//! Against real QEMUs.
