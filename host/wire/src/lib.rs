//! Bytes of the Rivet client protocol and of client values.
