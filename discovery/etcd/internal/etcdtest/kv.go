// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"maps"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

type kvServer struct {
	pb.UnimplementedKVServer
	s *Server
}

// within reports whether a key is asked for: the one, or those up to end.
func within(k string, key, end []byte) bool {
	if len(end) == 0 {
		return k == string(key)
	}
	return k >= string(key) && k < string(end)
}

func (v kvServer) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pb.RangeResponse{Header: s.header()}
	switch f := s.faults; {
	case f.noLeader && !r.Serializable:
		return nil, rpctypes.ErrGRPCNoLeader
	case f.noLeader || f.hidden:
		return resp, nil // of a member that knows nothing
	}
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		if within(k, r.Key, r.RangeEnd) {
			resp.Kvs = append(resp.Kvs, s.keys[k])
		}
	}
	resp.Count = int64(len(resp.Kvs))
	return resp, nil
}

func (v kvServer) Put(_ context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writable(r.Lease); err != nil {
		return nil, err
	}
	s.put(string(r.Key), r.Value, r.Lease)
	s.wake()
	return &pb.PutResponse{Header: s.header()}, nil
}

// writable returns why a write with a lease is refused, if it is. It requires mu.
func (s *Server) writable(lease int64) error {
	switch {
	case s.faults.noLeader:
		return rpctypes.ErrGRPCNoLeader
	case lease != 0 && s.leases[lease] == nil:
		return rpctypes.ErrGRPCLeaseNotFound
	}
	return nil
}

func (v kvServer) Txn(_ context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	ops, ok := r.Failure, false
	if !slices.ContainsFunc(r.Compare, func(c *pb.Compare) bool { return s.keys[string(c.Key)].GetModRevision() != c.GetModRevision() }) {
		ops, ok = r.Success, true
	}
	for _, op := range ops {
		if err := s.writable(op.GetRequestPut().GetLease()); err != nil {
			return nil, err
		}
	}
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil {
			s.put(string(p.Key), p.Value, p.Lease)
		}
		if d := op.GetRequestDeleteRange(); d != nil {
			s.remove(string(d.Key))
		}
	}
	s.wake()
	return &pb.TxnResponse{Header: s.header(), Succeeded: ok}, nil
}

// put requires mu.
func (s *Server) put(key string, value []byte, lease int64) {
	before := s.keys[key]
	if l := s.leases[before.GetLease()]; l != nil {
		delete(l.keys, key)
	}
	s.revision++
	kv := &mvccpb.KeyValue{
		Key: []byte(key), Value: slices.Clone(value), Lease: lease,
		CreateRevision: s.revision, ModRevision: s.revision, Version: before.GetVersion() + 1,
	}
	if before != nil {
		kv.CreateRevision = before.CreateRevision
	}
	s.keys[key] = kv
	if l := s.leases[lease]; l != nil {
		l.keys[key] = struct{}{}
	}
	s.history = append(s.history, &mvccpb.Event{Type: mvccpb.Event_PUT, Kv: kv})
}

// remove requires mu.
func (s *Server) remove(key string) {
	kv := s.keys[key]
	if kv == nil {
		return
	}
	if l := s.leases[kv.Lease]; l != nil {
		delete(l.keys, key)
	}
	delete(s.keys, key)
	s.revision++
	s.history = append(s.history, &mvccpb.Event{Type: mvccpb.Event_DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: s.revision}})
}
