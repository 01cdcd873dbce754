// Package filesource reads a directory of JSON Lines files as a stream, one file a shard. It needs no service: for local development, for tests, and to
// replay archives.
//
//	source := filesource.New("votes", &filesource.Config{KeyField: "voter"})
//
// Each line is a record; Record.Data is the line without its newline, whether it is JSON or not. Files are followed as they grow. Any program may write
// them, a shell too; [Writer] is for programs in Go.
//
// # The directory
//
//	votes/a.jsonl      the shard a
//	votes/b.jsonl      the shard b …
//	votes/b.parents    … which continues a: the IDs of its parents, one a line; made before b.jsonl is
//	votes/a.end        a is closed: no line will be added. Empty, or with the number of bytes of a.jsonl
//	votes/stream.id    tells this stream from others of the same name; made by whoever comes first
//	votes/stream.marks where the shards were when somebody began at LATEST
//
// A shard is closed by its marker, written when all of its lines are there:
//
//	touch votes/a.end
//
// A split closes one shard and names it as the parent of two, a merge names two as the parents of one. Children are read when all of their parents are
// done:
//
//	echo a >votes/b.parents && touch votes/b.jsonl
//	echo a >votes/c.parents && touch votes/c.jsonl
//	touch votes/a.end
//
// Shard IDs have no spaces and no slashes and do not begin with a dot. Other files and hidden ones are left alone.
//
// # Lines and positions
//
//   - A line ends with "\n" or "\r\n". One that has no newline yet waits; in a closed shard the last one needs none.
//   - A line that is no JSON is a record like any other. An empty line is none.
//   - A position is the offset in bytes at which the record's line ends, with its newline. A file must keep what it has: one that was cut or replaced is
//     [ErrRewritten], and its shard waits. Whoever has read it notices by the 64 bytes before its place; whoever resumes, by whether a line ends there.
//   - A line longer than Config.MaxLine is [ErrTooLong], and lines after the end of a closed shard are [ErrAfterEnd] if its marker says how many bytes it
//     has. No line is skipped.
//
// # Which stream it is
//
// The stream's incarnation is the text in stream.id. A directory that was removed and made again is another stream, and is read from its beginning; a
// copy that has the file is the same one, and is read on. A directory without that file, to which the process cannot write or whose file system knows no
// hard links, has its name for an incarnation: give it a stream.id where it can be given one, before it is read. Shard IDs are not to be used again within
// a stream.
//
// # Times
//
// Lines have no time of arrival of their own. With Config.TimeField they are taken to have arrived when that field says, and a start at an instant begins at the
// first line that is not older, or has no time. Without it, Record.Arrived is when the file was last written before it was read, which is
// never too early; a start at an instant leaves out files that were written last before it, and what a mark shows to be older, and reads others from
// their beginning: possibly too early, never too late.
//
// LATEST is exact: a mark in the directory says where each shard was. Where none can be made, shards that have not grown since are left out and others are
// read from their beginning; with a TimeField it is an error. Keep the marks: a shard that comes later begins at the same instant, and is read whole because
// the mark of that instant does not name it.
//
// Page.Behind is 0 when all was read; before that it is known with a TimeField only.
//
// # Replaying an archive
//
// Put the files into a directory, decompressed, and set Config.Closed, so that each shard ends where its file does, or give each its marker. A consumer reads
// from the oldest record unless it is told otherwise, and keeps running when all is read: Hooks.Lost says of each shard that it has ended, by
// consumer.ReasonEnded. The example stops the consumer when it has heard of all. That works for a replay by one worker with leases of its own, such as
// memlease's; a worker that shares shards hears of those alone that it has ended itself.
//
// # In local development
//
// Program and handler stay as they are, only the source differs. Keep the directory and the leases, and a restarted program goes on where it was; remove both to
// begin again.
//
// # What it does not do
//
//   - Network file systems: sizes and new files are seen late and out of order there.
//   - Rotation by truncating or renaming a file: close the shard and begin another.
//   - Compressed files, and files that are not lines.
//   - Retention: files stay until somebody removes them. Remove a closed shard's files when no consumer needs them.
//   - Durability beyond what the writer does: [Writer] does not sync.
package filesource
