//! Serves Rivet clients over HTTP and WebSocket.
