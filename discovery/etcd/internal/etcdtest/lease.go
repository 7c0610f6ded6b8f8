// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"maps"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// minTTL is the shortest time to live, in seconds, as a real etcd has one.
const minTTL = 2

type lease struct {
	ttl   int64
	keys  map[string]struct{}
	timer *time.Timer
}

type leaseServer struct {
	pb.UnimplementedLeaseServer
	s *Server
}

func (v leaseServer) LeaseGrant(_ context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(0); err != nil {
		return nil, err
	}
	s.lastLease++
	id, l := s.lastLease, &lease{ttl: max(r.TTL, minTTL), keys: map[string]struct{}{}}
	l.timer = time.AfterFunc(time.Duration(l.ttl)*time.Second, func() {
		s.change(func() {
			if s.leases[id] == l && !s.stopped {
				s.revoke(id)
			}
		})
	})
	s.leases[id] = l
	return &pb.LeaseGrantResponse{Header: s.header(), ID: id, TTL: l.ttl}, nil
}

func (v leaseServer) LeaseRevoke(_ context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(r.ID); err != nil {
		return nil, err
	}
	s.revoke(r.ID)
	s.wake()
	return &pb.LeaseRevokeResponse{Header: s.header()}, nil
}

// revoke ends a lease, with its keys. It requires mu.
func (s *Server) revoke(id int64) {
	l := s.leases[id]
	if l == nil {
		return
	}
	l.timer.Stop()
	for _, key := range slices.Sorted(maps.Keys(l.keys)) {
		s.remove(key)
	}
	delete(s.leases, id)
}

func (v leaseServer) LeaseKeepAlive(stream grpc.BidiStreamingServer[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]) error {
	for {
		r, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the client has what it wanted
		}
		resp, err := v.renew(r.ID)
		if err == nil {
			err = stream.Send(resp)
		}
		if err != nil {
			return err
		}
	}
}

func (v leaseServer) renew(id int64) (*pb.LeaseKeepAliveResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pb.LeaseKeepAliveResponse{Header: s.header(), ID: id}
	if s.faults.noLeader {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	if l := s.leases[id]; l != nil && !s.faults.leasesUnknown {
		l.timer.Reset(time.Duration(l.ttl) * time.Second)
		resp.TTL = l.ttl
	}
	return resp, nil
}
