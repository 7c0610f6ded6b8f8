// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// hub puts all watches of a back end on one stream. It has no goroutine but the one that
// reads the stream, from the first watch to the last.
//
// The watcher of etcd's client does that, too, and hides what it is there to show: when
// its stream breaks it goes on for ever, and tells nobody. Its watches also wait for each
// other's answers, and keep all that was not taken yet.
type hub struct {
	client pb.WatchClient
	turn   chan struct{} // held while a stream is opened

	mu     sync.Mutex // of the streams and watches, too
	stream *stream    // of watches that begin now; nil if there is none
}

// stream is a stream of watches.
type stream struct {
	hub     *hub
	rpc     pb.Watch_WatchClient
	cancel  context.CancelFunc
	sending sync.Mutex

	live    int      // watches that were not closed, and those about to be asked for
	pending []*watch // asked for and not answered: answers come in the same order
	watches map[int64]*watch
	err     error // why it ended, if it did
}

// watch is one watch. Of each key, it keeps the last that was not collected.
type watch struct {
	stream *stream
	wake   chan struct{}

	closed  bool
	begun   bool
	begunAt int64 // the revision of the member that answered
	latest  map[string]*mvccpb.KeyValue
	err     error
}

func newHub(client pb.WatchClient) *hub { return &hub{client: client, turn: make(chan struct{}, 1)} }

// watch asks for a watch of what begins with a prefix, from a revision on. ctx is for
// asking alone.
func (h *hub) watch(ctx context.Context, prefix string, revision int64) (*watch, error) {
	s, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	w := &watch{stream: s, wake: make(chan struct{}, 1), latest: map[string]*mvccpb.KeyValue{}}
	// In one step: answers are told apart by their order.
	s.sending.Lock()
	defer s.sending.Unlock()
	h.mu.Lock()
	s.pending = append(s.pending, w)
	if s.err != nil {
		w.fail(s.err)
	}
	h.mu.Unlock()
	s.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte(prefix), RangeEnd: rangeEnd(prefix), StartRevision: revision, Fragment: true,
	}}})
	return w, nil
}

// open returns the stream with one more that lives on it, and opens one if there is none.
func (h *hub) open(ctx context.Context) (*stream, error) {
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	s := h.stream
	if s != nil {
		s.live++
	}
	h.mu.Unlock()
	if s != nil {
		return s, nil
	}
	// A member that finds itself without a leader ends the stream: what it saw last may
	// not be what is.
	life, cancel := context.WithCancel(clientv3.WithRequireLeader(context.Background()))
	opened := context.AfterFunc(ctx, cancel)
	rpc, err := h.client.Watch(life, maxMessage)
	if !opened() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s = &stream{hub: h, rpc: rpc, cancel: cancel, live: 1, watches: map[int64]*watch{}}
	h.mu.Lock()
	h.stream = s
	h.mu.Unlock()
	go s.read()
	return s, nil
}

// retire makes watches that begin from now on use another stream than this one. Who may
// watch is decided by the token that a stream began with, and that one ends some time;
// watches that are under way do not notice.
func (h *hub) retire(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(s)
}

// drop requires mu.
func (h *hub) drop(s *stream) {
	if h.stream == s {
		h.stream = nil
	}
}

// sendLimit is how long a server may read nothing. It is not waited for otherwise:
// requests are small, and answers come to read.
const sendLimit = time.Second

// send requires sending. What goes wrong, read finds out.
func (s *stream) send(r *pb.WatchRequest) {
	limit := time.AfterFunc(sendLimit, s.cancel)
	defer limit.Stop()
	_ = s.rpc.Send(r)
}

// read hands answers out until the stream ends.
func (s *stream) read() {
	defer s.cancel()
	for {
		resp, err := s.rpc.Recv()
		s.hub.mu.Lock()
		if err != nil {
			s.fail(err)
			s.hub.mu.Unlock()
			return
		}
		unwanted := s.take(resp)
		s.hub.mu.Unlock()
		if unwanted {
			s.unwatch(resp.WatchId)
		}
	}
}

// fail requires mu.
func (s *stream) fail(err error) {
	s.hub.drop(s)
	s.err = err
	for _, w := range s.watches {
		w.fail(err)
	}
	for _, w := range s.pending {
		w.fail(err)
	}
}

// take reports whether the watch of an answer was closed before it began. It requires mu.
func (s *stream) take(resp *pb.WatchResponse) (unwanted bool) {
	if !resp.Created {
		if w := s.watches[resp.WatchId]; w != nil {
			w.take(resp)
		}
		return false
	}
	if len(s.pending) == 0 {
		return false // nobody asked
	}
	w := s.pending[0]
	s.pending = s.pending[1:]
	if w.closed {
		return !resp.Canceled
	}
	if !resp.Canceled {
		s.watches[resp.WatchId] = w
	}
	w.take(resp)
	return false
}

func (s *stream) unwatch(id int64) {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

// take requires mu.
func (w *watch) take(resp *pb.WatchResponse) {
	if resp.Created {
		w.begun, w.begunAt = true, resp.Header.GetRevision()
	}
	switch {
	case resp.CompactRevision != 0:
		w.fail(rpctypes.ErrCompacted)
		return
	case resp.Canceled:
		w.fail(plain(errors.New(resp.CancelReason)))
		return
	}
	for _, e := range resp.Events {
		kv := e.Kv
		if e.Type == clientv3.EventTypeDelete {
			kv = nil
		}
		w.latest[string(e.Kv.Key)] = kv
	}
	w.signal()
}

// fail requires mu.
func (w *watch) fail(err error) {
	if w.err == nil {
		w.err = err
	}
	w.signal()
}

func (w *watch) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// begin waits until the watch has begun, and returns the revision of the member that
// answered.
func (w *watch) begin(ctx context.Context) (int64, error) {
	for {
		w.stream.hub.mu.Lock()
		begun, at, err := w.begun, w.begunAt, w.err
		w.stream.hub.mu.Unlock()
		if err != nil || begun {
			return at, err
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// collect returns what has changed since the last time, by key; nil for what is gone.
func (w *watch) collect() (map[string]*mvccpb.KeyValue, error) {
	w.stream.hub.mu.Lock()
	defer w.stream.hub.mu.Unlock()
	if w.err != nil || len(w.latest) == 0 {
		return nil, w.err
	}
	changes := w.latest
	w.latest = map[string]*mvccpb.KeyValue{}
	return changes, nil
}

// close ends the watch, and the stream with its last one. It can be called twice.
func (w *watch) close() {
	if id, running := w.leave(); running {
		w.stream.unwatch(id)
	}
}

// leave takes the watch from its stream, and returns its id if the server has to be told.
func (w *watch) leave() (id int64, running bool) {
	s := w.stream
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	if w.closed {
		return 0, false
	}
	w.closed = true
	for i, o := range s.watches {
		if o == w {
			delete(s.watches, i)
			id, running = i, w.err == nil
		}
	}
	if s.live--; s.live == 0 {
		s.hub.drop(s)
		s.cancel()
		return 0, false
	}
	return id, running
}
