package snippets_test

import "path/filepath"

var operating = filepath.Join("docs", "operating.md")
