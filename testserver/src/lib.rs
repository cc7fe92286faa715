//! An in-process CarbonFiles server for tests.
