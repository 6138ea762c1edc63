"""What a run found, for people and for programs.

output                                    which format, into which file, and the sentence that says where it went
text_report, verify_log_report            tables and sentences
json_report, csv_report, parquet_report   documents and rows
money                                     amounts as they are printed
"""
