// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// bodies is where the attempts of one request get its body from. They must not
// change the request, and each of them closes what it gets.
type bodies struct {
	req    *http.Request
	replay *replay // nil: there is no body, or it comes with GetBody
}

// bodiesOf returns the bodies for so many attempts of req. Up to limit bytes of one
// that comes without GetBody are kept.
func bodiesOf(req *http.Request, attempts int, limit int64) bodies {
	b := bodies{req: req}
	if attempts < 2 || isEmpty(req.Body) || req.GetBody != nil {
		return b
	}
	if req.ContentLength > limit {
		limit = 0 // it would be kept in vain
	}
	b.replay = newReplay(req.Body, limit)
	return b
}

func isEmpty(body io.ReadCloser) bool { return body == nil || body == http.NoBody }

// next returns the body of an attempt of that number.
func (b *bodies) next(number int) (io.ReadCloser, error) {
	switch {
	case b.replay != nil:
		return b.replay.open(), nil
	case number == 1 || isEmpty(b.req.Body):
		return b.req.Body, nil
	default:
		return b.req.GetBody()
	}
}

// again reports whether there is a body for another attempt.
func (b *bodies) again() bool { return b.replay == nil || b.replay.whole() }

// retire ends the reading for attempts that have been given up.
func (b *bodies) retire() {
	if b.replay != nil {
		b.replay.retire()
	}
}

// over says that there will be no other attempt.
func (b *bodies) over() {
	if b.replay != nil {
		b.replay.release()
	}
}

// errBodyClosed is what reading a body after its end of use fails with.
var errBodyClosed = errors.New("httpmw: read of a closed request body")

// replay lets several attempts send a body that can be read only once: what was
// read of it is kept and read again. Attempts may read at the same time.
//
// The body is read no sooner than the first attempt wants it, and by whoever is
// the first to need more of it than is kept; so one that is being written while
// it is sent works as without replay. It is closed when the last attempt has
// closed what it got and there will be no other.
type replay struct {
	src   io.ReadCloser
	limit int64 // in bytes

	reading sync.Mutex // held while src is read

	mu     sync.Mutex
	kept   []byte
	read   int64 // how much src has given
	end    error // what ended src
	lost   bool  // src has given more than is kept, or cannot be read on
	users  int   // open bodies, and the call
	last   int   // the number of the last body opened
	active int   // those numbered below are given up
	closed bool
}

func newReplay(src io.ReadCloser, limit int64) *replay {
	return &replay{src: src, limit: limit, users: 1}
}

// whole reports whether src can be read again from its beginning.
func (r *replay) whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.lost && (r.end == nil || r.end == io.EOF) //nolint:errorlint // by this value alone, see io.Reader
}

// open returns a body that begins at the beginning.
func (r *replay) open() *replayed {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users++
	r.last++
	return &replayed{replay: r, number: r.last}
}

// retire makes all bodies useless that are open.
func (r *replay) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active = r.last + 1
}

// release gives up one use of src. The last one closes it.
func (r *replay) release() {
	r.mu.Lock()
	r.users--
	over := r.users == 0
	r.mu.Unlock()
	if over {
		_ = r.close()
	}
}

// close closes src, once.
func (r *replay) close() error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.lost = r.lost || r.end == nil
	r.mu.Unlock()
	if !first {
		return nil
	}
	return r.src.Close()
}

// keep adds what was read of src. It requires mu.
func (r *replay) keep(p []byte, err error) {
	r.read += int64(len(p))
	r.end = err
	if r.read > r.limit {
		r.kept, r.lost = nil, true
	}
	if !r.lost {
		r.kept = append(r.kept, p...)
	}
}

// replayed is the body of one attempt.
type replayed struct {
	replay *replay
	number int

	// under replay.mu
	at     int64 // how much it has read
	busy   bool
	closed bool
}

// Read implements [io.Reader].
func (b *replayed) Read(p []byte) (int, error) {
	r := b.replay
	if !b.begin() {
		return 0, errBodyClosed
	}
	defer b.finish()
	r.reading.Lock()
	defer r.reading.Unlock()
	if n, done, err := b.readKept(p); done {
		return n, err
	}
	n, err := r.src.Read(p)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keep(p[:n], err)
	b.at += int64(n)
	return n, err
}

// readKept reads what is kept. It is done unless src is to be read.
func (b *replayed) readKept(p []byte) (n int, done bool, err error) {
	r := b.replay
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case b.isOver():
		return 0, true, errBodyClosed
	case b.at < int64(len(r.kept)):
		n = copy(p, r.kept[b.at:])
		b.at += int64(n)
		return n, true, nil
	case b.at != r.read: // more than is kept
		return 0, true, errBodyClosed
	case r.end != nil:
		return 0, true, r.end
	case r.closed:
		return 0, true, errBodyClosed
	default:
		return 0, false, nil
	}
}

// begin reports whether the body can be read, and notes that it is.
func (b *replayed) begin() bool {
	b.replay.mu.Lock()
	defer b.replay.mu.Unlock()
	b.busy = !b.isOver()
	return b.busy
}

func (b *replayed) finish() {
	b.replay.mu.Lock()
	defer b.replay.mu.Unlock()
	b.busy = false
}

// isOver reports whether the body was closed, or its attempt given up. It requires
// mu.
func (b *replayed) isOver() bool { return b.closed || b.number < b.replay.active }

// Close implements [io.Closer]. If the body is being read, it closes the source so
// that the reader does not hang, and there is no other attempt.
func (b *replayed) Close() error {
	r := b.replay
	r.mu.Lock()
	first, busy := !b.closed, b.busy
	b.closed = true
	r.mu.Unlock()
	var err error
	if busy {
		err = r.close()
	}
	if first {
		r.release()
	}
	return err
}
