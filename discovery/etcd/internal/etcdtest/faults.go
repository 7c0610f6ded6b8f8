// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// faults is what is wrong at the moment.
type faults struct {
	down          bool
	hangs         bool
	watchesHang   bool
	noLeader      bool
	hidden        bool
	leasesUnknown bool
	latency       time.Duration
	lag           int64
	fail          func(method string) error
	lost          string // the call whose answers are lost
}

func (s *Server) present() faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// Down cuts all connections and refuses new ones, or ends that. Leases run on.
func (s *Server) Down(down bool) {
	s.change(func() { s.faults.down = down })
	s.cut()
}

// Disconnect cuts all connections.
func (s *Server) Disconnect() { s.cut() }

// Hang makes the server answer nothing, or ends that.
func (s *Server) Hang(hang bool) { s.change(func() { s.faults.hangs = hang }) }

// HangWatches makes the server answer nothing about watches, or ends that.
func (s *Server) HangWatches(hang bool) { s.change(func() { s.faults.watchesHang = hang }) }

// Slow makes calls take d longer; 0 ends it.
func (s *Server) Slow(d time.Duration) { s.change(func() { s.faults.latency = d }) }

// NoLeader makes the server a member that has lost the others, and that would list
// nothing to those who ask it for what it has itself; or ends that.
func (s *Server) NoLeader(lost bool) { s.change(func() { s.faults.noLeader = lost }) }

// Hide makes the server list nothing, though it has everything, or ends that. Watches are
// cut, so that they look.
func (s *Server) Hide(hide bool) {
	s.change(func() { s.faults.hidden = hide })
	s.cut()
}

// UnknownLeases makes the server know no lease that is to be renewed, or ends that.
func (s *Server) UnknownLeases(unknown bool) { s.change(func() { s.faults.leasesUnknown = unknown }) }

// Lag makes watches begin this many revisions behind; 0 ends it.
func (s *Server) Lag(revisions int64) { s.change(func() { s.faults.lag = revisions }) }

// Fail makes a call fail before it is made if f returns an error for its name, such as
// "Put"; nil ends it.
func (s *Server) Fail(f func(method string) error) { s.change(func() { s.faults.fail = f }) }

// Lose makes a call be made and its answer be an error, or ends that.
func (s *Server) Lose(method string, lose bool) {
	s.change(func() {
		s.faults.lost = ""
		if lose {
			s.faults.lost = method
		}
	})
}

// Compact forgets all history, and makes watches need it.
func (s *Server) Compact() {
	s.change(func() {
		s.compacted, s.history = s.revision+1, nil
		s.revision += 2
	})
}

// RevokeAll ends all leases.
func (s *Server) RevokeAll() {
	s.change(func() {
		for _, id := range slices.Sorted(maps.Keys(s.leases)) {
			s.revoke(id)
		}
	})
}

// Wipe is a restart without a disk: nothing is left, and revisions begin anew.
func (s *Server) Wipe() {
	s.RevokeAll()
	s.change(func() {
		clear(s.keys)
		clear(s.tokens)
		s.history, s.revision, s.compacted = nil, 1, 0
	})
	s.cut()
}

// unary stands before all calls.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := s.gate(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	resp, err := handle(ctx, req)
	if err == nil && s.present().lost == nameOf(info.FullMethod) {
		return nil, status.Error(codes.Unavailable, "etcdtest: the answer was lost")
	}
	return resp, err
}

// nameOf returns the name of a call without that of its service.
func nameOf(method string) string { return method[strings.LastIndex(method, "/")+1:] }

// stream stands before all streams.
func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := s.gate(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handle(srv, stream)
}

func (s *Server) gate(ctx context.Context, method string) error {
	sleep(ctx, s.present().latency)
	for {
		s.mu.Lock()
		f, changed := s.faults, s.changed
		var err error
		if method != pb.Auth_Authenticate_FullMethodName && method != pb.Watch_Watch_FullMethodName {
			err = s.refuse(tokenOf(ctx))
		}
		s.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case f.hangs:
		case f.fail != nil:
			if failed := f.fail(nameOf(method)); failed != nil {
				return failed
			}
			return err
		default:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
