package rds

import (
	"encoding/xml"
	"net/http"
	"net/url"
)

type instanceModified struct {
	XMLName   xml.Name       `xml:"ModifyDBInstanceResponse"`
	Namespace string         `xml:"xmlns,attr"`
	Instance  instanceAnswer `xml:"ModifyDBInstanceResult>DBInstance"`
	RequestID string         `xml:"ResponseMetadata>RequestId"`
}

func (a *instanceModified) setRequestID(id string) { a.RequestID = id }

type clusterModified struct {
	XMLName   xml.Name      `xml:"ModifyDBClusterResponse"`
	Namespace string        `xml:"xmlns,attr"`
	Cluster   clusterAnswer `xml:"ModifyDBClusterResult>DBCluster"`
	RequestID string        `xml:"ResponseMetadata>RequestId"`
}

func (a *clusterModified) setRequestID(id string) { a.RequestID = id }

// modify returns the master whose password a call rotates.
func (s *Server) modify(form url.Values, parameter string, instance bool) (any, *Master, *Failure) {
	if form.Get(parameter) == "" {
		return nil, nil, &Failure{"MissingParameter", "The request must contain the parameter " + parameter, http.StatusBadRequest}
	}
	var out any
	var arn string
	if instance {
		found, failure := s.describeInstances(form)
		if failure != nil {
			return nil, nil, failure
		}
		one := found.(*instancesAnswer).Instances[0]
		out, arn = &instanceModified{Namespace: namespace, Instance: one}, one.ARN
	} else {
		found, failure := s.describeClusters(form)
		if failure != nil {
			return nil, nil, failure
		}
		one := found.(*clustersAnswer).Clusters[0]
		out, arn = &clusterModified{Namespace: namespace, Cluster: one}, one.ARN
	}
	switch master := s.masters[arn]; {
	case form.Get("RotateMasterUserPassword") != "true" || form.Get("ApplyImmediately") != "true":
		return nil, nil, &Failure{"InvalidParameterCombination",
			"this endpoint only rotates the master user password, and applies that immediately", http.StatusBadRequest}
	case master == nil:
		return nil, nil, &Failure{"InvalidParameterCombination", "the master user password is not managed in Secrets Manager",
			http.StatusBadRequest}
	default:
		return out, master, nil
	}
}
