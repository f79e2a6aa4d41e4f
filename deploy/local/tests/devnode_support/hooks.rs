//! A hook server that writes down what it is told and answers what the test wants.
