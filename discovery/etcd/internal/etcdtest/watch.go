// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"maps"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

type watchServer struct {
	pb.UnimplementedWatchServer
	s *Server
}

// watcher is one watch on a stream.
type watcher struct {
	request *pb.WatchCreateRequest
	next    int64 // the first revision that was not sent
}

type watchStream struct {
	s        *Server
	stream   grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]
	token    string
	watchers map[int64]*watcher
	last     int64
}

func (v watchServer) Watch(stream grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	w := &watchStream{s: v.s, stream: stream, token: tokenOf(stream.Context()), watchers: map[int64]*watcher{}}
	w.s.change(func() { w.s.watches++ })
	defer w.s.change(func() {
		w.s.watches--
		w.s.watchers -= len(w.watchers)
	})
	requests := make(chan *pb.WatchRequest)
	go func() {
		defer close(requests)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case requests <- r:
			case <-stream.Context().Done():
				return
			}
		}
	}()
	for {
		responses, changed, err := w.due()
		if err != nil {
			return err
		}
		for _, r := range responses {
			if err := stream.Send(r); err != nil {
				return err
			}
		}
		var waiting <-chan *pb.WatchRequest
		if f := w.s.present(); !f.hangs && !f.watchesHang {
			waiting = requests
		}
		select {
		case r, ok := <-waiting:
			if !ok {
				return nil
			}
			if err := w.take(r); err != nil {
				return err
			}
		case <-changed:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// requiresLeader reports whether a client wants to know when there is none.
func requiresLeader(ctx context.Context) bool {
	md, _ := metadata.FromIncomingContext(ctx)
	return slices.Contains(md.Get(rpctypes.MetadataRequireLeaderKey), rpctypes.MetadataHasLeader)
}

// take makes a watch, or ends one.
func (w *watchStream) take(r *pb.WatchRequest) error {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := r.GetCancelRequest(); c != nil && w.watchers[c.WatchId] != nil {
		delete(w.watchers, c.WatchId)
		s.watchers--
		return w.stream.Send(&pb.WatchResponse{Header: s.header(), WatchId: c.WatchId, Canceled: true})
	}
	c := r.GetCreateRequest()
	if c == nil {
		return nil
	}
	if err := s.refuse(w.token); err != nil {
		return w.stream.Send(&pb.WatchResponse{Header: s.header(), WatchId: -1, Created: true, Canceled: true, CancelReason: err.Error()})
	}
	id := w.last
	w.last++
	w.watchers[id] = &watcher{c, c.StartRevision}
	s.watchers++
	header := s.header()
	header.Revision -= s.faults.lag
	return w.stream.Send(&pb.WatchResponse{Header: header, WatchId: id, Created: true})
}

// due returns what is to be sent now, and what is closed when there may be more.
func (w *watchStream) due() (responses []*pb.WatchResponse, changed <-chan struct{}, err error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults
	switch {
	case s.stopped:
		return nil, nil, rpctypes.ErrGRPCStopped
	case f.noLeader && requiresLeader(w.stream.Context()):
		return nil, nil, rpctypes.ErrGRPCNoLeader
	case f.hangs || f.watchesHang || f.noLeader:
		return nil, s.changed, nil
	}
	for _, id := range slices.Sorted(maps.Keys(w.watchers)) {
		if r := w.watchers[id].due(s, id); r != nil {
			if r.Canceled {
				delete(w.watchers, id)
				s.watchers--
			}
			responses = append(responses, r)
		}
	}
	return responses, s.changed, nil
}

// due requires the server's mu.
func (w *watcher) due(s *Server, id int64) *pb.WatchResponse {
	if w.next <= s.compacted {
		return &pb.WatchResponse{Header: s.header(), WatchId: id, Canceled: true, CompactRevision: s.compacted}
	}
	var events []*mvccpb.Event
	for i := len(s.history) - 1; i >= 0 && s.history[i].Kv.ModRevision >= w.next; i-- {
		if e := s.history[i]; within(string(e.Kv.Key), w.request.Key, w.request.RangeEnd) {
			events = append(events, e)
		}
	}
	if s.revision >= w.next {
		w.next = s.revision + 1
	}
	if len(events) == 0 {
		return nil
	}
	slices.Reverse(events)
	return &pb.WatchResponse{Header: s.header(), WatchId: id, Events: events}
}
