//! An async, fluent, resource-scoped client for the CarbonFiles file-sharing API.
