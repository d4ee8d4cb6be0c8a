#error "no model of the tests needs this operator"
