//! Attribute macro of the GrowQR actor SDK.
