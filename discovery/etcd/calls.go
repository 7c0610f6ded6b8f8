// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// The calls are made of etcd's messages and not of its client's functions: those wait
// for a connection until the context ends, and repeat what failed, a renewal of a lease
// without a pause and without an end.

// get returns what stands at a key, or nil. It is linearizable: what was written before
// is seen, and a member that has lost the others does not answer.
func (b *Backend) get(ctx context.Context, key string) (*mvccpb.KeyValue, error) {
	resp, err := b.kv.Range(ctx, &pb.RangeRequest{Key: []byte(key)})
	if err != nil {
		return nil, b.fault(ctx, "get "+key, err)
	}
	if len(resp.Kvs) == 0 {
		return nil, nil
	}
	return resp.Kvs[0], nil
}

// list returns what stands below a prefix, in the order of keys, and the revision at
// which it did. It is linearizable: a list replaces all that is known, so that it must
// not be that of a member which has lost the others.
func (b *Backend) list(ctx context.Context, prefix string) ([]*mvccpb.KeyValue, int64, error) {
	resp, err := b.kv.Range(ctx, &pb.RangeRequest{Key: []byte(prefix), RangeEnd: rangeEnd(prefix)}, maxMessage)
	if err != nil {
		return nil, 0, b.fault(ctx, "list "+prefix, err)
	}
	return resp.Kvs, resp.Header.GetRevision(), nil
}

// put writes a value that ends with its lease. etcd refuses one that is over: the error
// is [rpctypes.ErrLeaseNotFound].
func (b *Backend) put(ctx context.Context, key string, value []byte, lease int64) error {
	_, err := b.kv.Put(ctx, &pb.PutRequest{Key: []byte(key), Value: value, Lease: lease})
	return b.fault(ctx, "put "+key, err)
}

// unchanged makes a change if the key is still as it was at a revision, and reports
// whether it was.
func (b *Backend) unchanged(ctx context.Context, key string, revision int64, change *pb.RequestOp) (bool, error) {
	resp, err := b.kv.Txn(ctx, &pb.TxnRequest{
		Compare: []*pb.Compare{{
			Key: []byte(key), Target: pb.Compare_MOD, Result: pb.Compare_EQUAL,
			TargetUnion: &pb.Compare_ModRevision{ModRevision: revision},
		}},
		Success: []*pb.RequestOp{change},
	})
	if err != nil {
		return false, b.fault(ctx, "change "+key, err)
	}
	return resp.Succeeded, nil
}

func putOp(key string, value []byte, lease int64) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{
		RequestPut: &pb.PutRequest{Key: []byte(key), Value: value, Lease: lease},
	}}
}

func deleteOp(key string) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(key)},
	}}
}

// grant returns a new lease and for how many seconds it is, which may be more than asked
// for: etcd has a shortest time, of one and a half elections.
func (b *Backend) grant(ctx context.Context, seconds int64) (lease, granted int64, err error) {
	resp, err := b.lease.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: seconds})
	if err != nil {
		return 0, 0, b.fault(ctx, "grant a lease", err)
	}
	if resp.Error != "" {
		return 0, 0, b.fault(ctx, "grant a lease", errors.New(resp.Error))
	}
	return resp.ID, resp.TTL, nil
}

// renew returns for how many seconds the lease is again. The error of one that is over
// is [rpctypes.ErrLeaseNotFound].
func (b *Backend) renew(ctx context.Context, lease int64) (seconds int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream: there is no call for one renewal
	stream, err := b.lease.LeaseKeepAlive(ctx)
	if err == nil {
		err = stream.Send(&pb.LeaseKeepAliveRequest{ID: lease})
	}
	if err != nil && stream == nil {
		return 0, b.fault(ctx, "renew a lease", err)
	}
	resp, err := stream.Recv() // it knows why Send failed, too
	if err == nil && resp.TTL <= 0 {
		err = rpctypes.ErrLeaseNotFound
	}
	if err != nil {
		return 0, b.fault(ctx, "renew a lease", err)
	}
	return resp.TTL, nil
}

// revoke ends a lease, and takes what has it away. It is no error if it is over.
func (b *Backend) revoke(ctx context.Context, lease int64) error {
	_, err := b.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
	if err = b.fault(ctx, "revoke a lease", err); errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}
