{{- /*
wo.digits CIDR: the family of a range, and in binary what all of its addresses begin with: 4:00001010 of 10.0.0.0/8.
One range lies within another if its digits begin with those of the other.
*/ -}}
{{- define "wo.digits" -}}
{{- $address := first (splitList "/" .) }}
{{- $digits := "" }}
{{- if contains ":" $address }}
{{- /* The last two groups may be written as in IPv4. */}}
{{- with regexFind "([0-9]+\\.){3}[0-9]+$" $address }}
{{- $o := splitList "." . }}
{{- $address = printf "%s%x:%x" (trimSuffix . $address) (add (mul 256 (index $o 0)) (index $o 1)) (add (mul 256 (index $o 2)) (index $o 3)) }}
{{- end }}
{{- /* A double colon stands for as many groups of zeros as are missing. */}}
{{- $parts := splitList "::" $address }}
{{- $head := without (splitList ":" (first $parts)) "" }}
{{- $tail := list }}
{{- range rest $parts }}{{ $tail = without (splitList ":" .) "" }}{{ end }}
{{- $zeros := list }}
{{- range until (sub 8 (add (len $head) (len $tail)) | int) }}{{ $zeros = append $zeros "0" }}{{ end }}
{{- range concat $head $zeros $tail }}{{ $digits = printf "%s%016b" $digits (int64 (printf "0x%s" .)) }}{{ end }}
{{- else }}
{{- range splitList "." $address }}{{ $digits = printf "%s%08b" $digits (int64 .) }}{{ end }}
{{- end }}
{{- ternary "6:" "4:" (contains ":" $address) }}{{ trunc (last (splitList "/" .) | int) $digits }}
{{- end }}
