"""Methods that were put together without their own paper's text; each says what is certain."""
