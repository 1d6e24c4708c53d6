"""ChirpStack's gRPC services, one module each. A method takes (request, caller), returns the response or raises ApiError."""
