package filesource

// Writer is the producer's side of a directory: it makes shards, appends lines and closes shards. It keeps no state and no open file, so that it
// needs no Close; its methods are safe for concurrent use, also by several processes, but a shard must not be closed while
// another goroutine or process appends to it.
type Writer struct{ dir string }

// NewWriter is a writer on a directory. It touches no file.
func NewWriter(dir string) *Writer { return &Writer{dir: dir} }

// Create makes an open, empty shard that continues the parents, if there are any. It also makes the directory if it is not there.
// A shard that exists with the same parents is left as it is.
func (w *Writer) Create(shard string, parents ...string) error { return errSoon }

// Append adds lines to an open shard by one write, in their order. Lines are given without their newline.
func (w *Writer) Append(shard string, lines ...[]byte) error { return errSoon }

// End closes a shard: no line will be added. It does nothing if the shard is closed already.
func (w *Writer) End(shard string) error { return errSoon }

// Reshard makes the children, each of which continues all parents, and closes the parents. A split has one parent and two children, a
// merge two parents and one child. Called again after a crash it finishes what it had begun.
func (w *Writer) Reshard(parents, children []string) error { return errSoon }

// Repair cuts off a line that was begun and never finished, as a writer leaves it that was killed, and returns how many bytes that were. Nobody may
// be appending to the shard meanwhile. Readers have not given such a line.
func (w *Writer) Repair(shard string) (cut int64, err error) { return 0, errSoon }
