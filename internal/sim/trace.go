package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// trace writes what happens, one line each: the instant, who, what.
type trace struct {
	w   *world
	out io.Writer // nil: nobody reads it
	buf bytes.Buffer
}

func newTrace(w *world, out io.Writer) *trace { return &trace{w: w, out: out} }

func (t *trace) on() bool { return t.out != nil }

// say writes a line. Who has costly arguments asks on before.
func (t *trace) say(who, what, format string, args ...any) {
	if t.out == nil {
		return
	}
	t.buf.Reset()
	fmt.Fprintf(&t.buf, "%12.6f %-5s %-9s ", t.w.now.Seconds(), who, what)
	fmt.Fprintf(&t.buf, format, args...)
	t.buf.WriteByte('\n')
	_, _ = t.out.Write(t.buf.Bytes())
}

// logs is a [slog.Handler] for the lines of package lease: they are counted, and written to the trace.
type logs struct{ p *process }

func (l logs) Enabled(context.Context, slog.Level) bool { return true }
func (l logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logs) WithGroup(string) slog.Handler            { return l }

func (l logs) Handle(_ context.Context, r slog.Record) error {
	w := l.p.w
	w.counts.heard(r)
	if !w.trace.on() {
		return nil
	}
	var attrs bytes.Buffer
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&attrs, " %s=%v", a.Key, a.Value)
		return true
	})
	w.trace.say(l.p.name, "log", "%s%s", r.Message, attrs.Bytes())
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }
