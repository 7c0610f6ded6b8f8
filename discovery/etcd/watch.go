// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"context"
	"errors"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newWatcher returns a watcher of etcd's client, which has one stream for all watches.
// The client's own goes on for ever when its stream breaks, and tells nobody: callers
// would take what it said last for what is. This one ends its watches with the error.
func newWatcher(client *clientv3.Client) clientv3.Watcher {
	return clientv3.NewWatchFromWatchClient(frankClient{pb.NewWatchClient(client.ActiveConnection())}, client)
}

// watch begins to watch what begins with a prefix, from a revision on. The channel is
// closed with ctx, or after a response that says why. A member that finds itself without
// a leader ends the watch: what it saw last may not be what is.
func (r *Registry) watch(ctx context.Context, prefix string, revision int64) (clientv3.WatchChan, clientv3.Watcher) {
	r.mu.Lock()
	w := r.watcher
	r.mu.Unlock()
	events := w.Watch(clientv3.WithRequireLeader(ctx), prefix,
		clientv3.WithPrefix(), clientv3.WithRev(revision), clientv3.WithCreatedNotify(), clientv3.WithFragment())
	return events, w
}

// retire makes watches that begin from now on use another stream, with another token. Who
// may watch is decided by the token that the stream began with, and that one ends some
// time; watches that are under way do not notice.
func (r *Registry) retire(w clientv3.Watcher) {
	if r.session != nil {
		token, _ := r.session.current()
		r.session.forget(token)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watcher == w {
		r.watcher = newWatcher(r.client) // the old one ends with its last watch
	}
}

// frankClient makes errors known that etcd's client would keep to itself.
type frankClient struct{ pb.WatchClient }

func (c frankClient) Watch(ctx context.Context, opts ...grpc.CallOption) (pb.Watch_WatchClient, error) {
	stream, err := c.WatchClient.Watch(ctx, append(opts, grpc.WaitForReady(false))...)
	if err != nil {
		return nil, final(err)
	}
	return frankStream{stream}, nil
}

type frankStream struct{ pb.Watch_WatchClient }

func (s frankStream) Recv() (*pb.WatchResponse, error) {
	resp, err := s.Watch_WatchClient.Recv()
	if err != nil {
		return nil, final(err)
	}
	return resp, nil
}

// final takes the code away from those errors for which the client would try again.
func final(err error) error {
	known := rpctypes.Error(err)
	if st, ok := status.FromError(known); ok && (st.Code() == codes.Unavailable || st.Code() == codes.Internal) {
		return errors.New(st.Message())
	}
	return known
}
