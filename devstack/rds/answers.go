package rds

import (
	"encoding/xml"
	"maps"
	"net/url"
	"slices"
)

const namespace = "http://rds.amazonaws.com/doc/2014-10-31/"

type errorAnswer struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

type instancesAnswer struct {
	XMLName   xml.Name         `xml:"DescribeDBInstancesResponse"`
	Namespace string           `xml:"xmlns,attr"`
	Instances []instanceAnswer `xml:"DescribeDBInstancesResult>DBInstances>DBInstance"`
	Marker    string           `xml:"DescribeDBInstancesResult>Marker,omitempty"`
	RequestID string           `xml:"ResponseMetadata>RequestId"`
}

func (a *instancesAnswer) setRequestID(id string) { a.RequestID = id }

type instanceAnswer struct {
	Identifier string          `xml:"DBInstanceIdentifier"`
	ARN        string          `xml:"DBInstanceArn"`
	Status     string          `xml:"DBInstanceStatus"`
	Engine     string          `xml:"Engine"`
	Version    string          `xml:"EngineVersion,omitempty"`
	Master     string          `xml:"MasterUsername"`
	Cluster    string          `xml:"DBClusterIdentifier,omitempty"`
	Endpoint   *endpointAnswer `xml:"Endpoint"`
	Secret     *secretAnswer   `xml:"MasterUserSecret"`
}

type endpointAnswer struct {
	Address string `xml:"Address"`
	Port    int    `xml:"Port"`
}

type secretAnswer struct {
	ARN    string `xml:"SecretArn"`
	Status string `xml:"SecretStatus"`
}

func managed(arn string) *secretAnswer {
	if arn == "" {
		return nil
	}
	return &secretAnswer{arn, "active"}
}

// status returns the status of a database, which is available once it has an address.
func status(host string) string {
	if host == "" {
		return "creating"
	}
	return "available"
}

func (s *Server) describeInstances(form url.Values) (any, *Failure) {
	ids, marker, failure := s.identifiers(form, "DBInstanceIdentifier", "db", slices.Collect(maps.Keys(s.instances)))
	if failure != nil {
		return nil, failure
	}
	out := &instancesAnswer{Namespace: namespace, Marker: marker}
	for _, id := range ids {
		i := s.instances[id]
		a := instanceAnswer{
			Identifier: i.Identifier, ARN: s.arn("db", i.Identifier), Status: status(i.Host), Engine: i.Engine, Version: i.Version,
			Master: i.Master, Cluster: i.Cluster, Secret: managed(i.SecretARN),
		}
		if i.Host != "" {
			a.Endpoint = &endpointAnswer{i.Host, i.Port}
		}
		out.Instances = append(out.Instances, a)
	}
	return out, nil
}

type clustersAnswer struct {
	XMLName   xml.Name        `xml:"DescribeDBClustersResponse"`
	Namespace string          `xml:"xmlns,attr"`
	Clusters  []clusterAnswer `xml:"DescribeDBClustersResult>DBClusters>DBCluster"`
	Marker    string          `xml:"DescribeDBClustersResult>Marker,omitempty"`
	RequestID string          `xml:"ResponseMetadata>RequestId"`
}

func (a *clustersAnswer) setRequestID(id string) { a.RequestID = id }

type clusterAnswer struct {
	Identifier      string         `xml:"DBClusterIdentifier"`
	ARN             string         `xml:"DBClusterArn"`
	Status          string         `xml:"Status"`
	Engine          string         `xml:"Engine"`
	Version         string         `xml:"EngineVersion,omitempty"`
	Master          string         `xml:"MasterUsername"`
	Writer          string         `xml:"Endpoint,omitempty"`
	Reader          string         `xml:"ReaderEndpoint,omitempty"`
	CustomEndpoints []string       `xml:"CustomEndpoints>member,omitempty"`
	Port            int            `xml:"Port,omitempty"`
	Members         []memberAnswer `xml:"DBClusterMembers>DBClusterMember"`
	Secret          *secretAnswer  `xml:"MasterUserSecret"`
}

type memberAnswer struct {
	Identifier string `xml:"DBInstanceIdentifier"`
	Writer     bool   `xml:"IsClusterWriter"`
}

func (s *Server) describeClusters(form url.Values) (any, *Failure) {
	ids, marker, failure := s.identifiers(form, "DBClusterIdentifier", "cluster", slices.Collect(maps.Keys(s.clusters)))
	if failure != nil {
		return nil, failure
	}
	out := &clustersAnswer{Namespace: namespace, Marker: marker}
	for _, id := range ids {
		c := s.clusters[id]
		a := clusterAnswer{
			Identifier: c.Identifier, ARN: s.arn("cluster", c.Identifier), Status: status(c.Host), Engine: c.Engine, Version: c.Version,
			Master: c.Master, Writer: c.Host, Reader: c.ReaderHost, CustomEndpoints: c.CustomEndpoints, Port: c.Port, Secret: managed(c.SecretARN),
		}
		for _, member := range slices.Sorted(maps.Keys(s.instances)) {
			if i := s.instances[member]; i.Cluster == c.Identifier {
				a.Members = append(a.Members, memberAnswer{i.Identifier, i.Host == c.Host})
			}
		}
		out.Clusters = append(out.Clusters, a)
	}
	return out, nil
}
