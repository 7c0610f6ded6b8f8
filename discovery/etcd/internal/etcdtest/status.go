// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

const memberID = 0xe7cd

type clusterServer struct {
	pb.UnimplementedClusterServer
	s *Server
}

func (v clusterServer) MemberList(_ context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.noLeader && r.Linearizable {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	return &pb.MemberListResponse{Header: s.header(), Members: []*pb.Member{{ID: memberID, Name: "fake", ClientURLs: []string{"http://etcd:2379"}}}}, nil
}

type maintenanceServer struct {
	pb.UnimplementedMaintenanceServer
	s *Server
}

func (v maintenanceServer) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	s := v.s
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pb.StatusResponse{
		Header: s.header(), Version: "3.7.3", DbSize: 20480, DbSizeQuota: 2 << 30, Leader: memberID,
		RaftIndex: uint64(s.revision), RaftTerm: 1,
	}
	if s.faults.noLeader {
		resp.Leader = 0
	}
	return resp, nil
}
