#error "tests are not part of the library"
