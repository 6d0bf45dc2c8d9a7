//! What an OpenAPI document says about a layer.
