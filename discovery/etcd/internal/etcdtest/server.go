// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// Server is an etcd with one member. Use [New]. It is safe for concurrent use.
type Server struct {
	grpc     *grpc.Server
	listener *bufconn.Listener
	served   chan struct{}

	mu        sync.Mutex
	changed   chan struct{} // closed when anything changes
	stopped   bool
	revision  int64
	compacted int64
	keys      map[string]*mvccpb.KeyValue
	history   []*mvccpb.Event
	leases    map[int64]*lease
	lastLease int64
	conns     map[net.Conn]struct{}
	watches   int // open streams
	watchers  int
	users     map[string]string // nil without authentication
	tokens    map[string]bool
	logins    int
	faults    faults
}

// New returns a server that runs.
func New() *Server {
	s := &Server{
		listener: bufconn.Listen(1 << 20), served: make(chan struct{}), changed: make(chan struct{}), revision: 1,
		keys: map[string]*mvccpb.KeyValue{}, leases: map[int64]*lease{}, conns: map[net.Conn]struct{}{}, tokens: map[string]bool{},
	}
	s.grpc = grpc.NewServer(grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream))
	pb.RegisterKVServer(s.grpc, kvServer{s: s})
	pb.RegisterLeaseServer(s.grpc, leaseServer{s: s})
	pb.RegisterWatchServer(s.grpc, watchServer{s: s})
	pb.RegisterAuthServer(s.grpc, authServer{s: s})
	pb.RegisterClusterServer(s.grpc, clusterServer{s: s})
	pb.RegisterMaintenanceServer(s.grpc, maintenanceServer{s: s})
	go func() {
		defer close(s.served)
		_ = s.grpc.Serve(s.listener) // it returns when it is stopped
	}()
	return s
}

// errRefused is what there is to connect to while the server is down.
var errRefused = errors.New("etcdtest: connection refused")

// Dial connects to the server, whatever the address.
func (s *Server) Dial(ctx context.Context, _ string) (net.Conn, error) {
	if f := s.present(); f.down {
		return nil, errRefused
	}
	conn, err := s.listener.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = struct{}{}
	return conn, nil
}

// Stop ends the server.
func (s *Server) Stop() {
	s.change(func() {
		s.stopped = true
		for _, l := range s.leases {
			l.timer.Stop()
		}
	})
	s.cut()
	s.grpc.Stop()
	<-s.served
}

// cut closes all connections.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // so that whoever has it finds out
	}
	clear(s.conns)
}

// change changes something, and wakes everybody who waits for that.
func (s *Server) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wake()
}

// wake requires mu.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// header requires mu.
func (s *Server) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: 1, MemberId: memberID, Revision: s.revision, RaftTerm: 1}
}

// Counts is how much of everything there is.
type Counts struct {
	Keys, Leases, Streams, Watchers, Logins int
}

// Counts returns how much of everything there is.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counts{len(s.keys), len(s.leases), s.watches, s.watchers, s.logins}
}

// Lease returns the lease of a key, and whether there is such a key.
func (s *Server) Lease(key string) (lease int64, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kv, found := s.keys[key]
	return kv.GetLease(), found
}

// Put writes a key as whoever may: without a lease if that is 0.
func (s *Server) Put(key string, value []byte, lease int64) {
	s.change(func() { s.put(key, value, lease) })
}

// Delete removes a key.
func (s *Server) Delete(key string) {
	s.change(func() { s.remove(key) })
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
