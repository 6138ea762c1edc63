"""What a run found, for people and for programs.

output                                    the format, and the file that a report goes to
verdict                                   a run's result in a sentence
text_report, verify_log_report            tables and sentences
drift_report                              findings, a block for each meter, customer or history row
json_report, csv_report, parquet_report   documents and rows
repaired                                  how much an unfinished run has repaired
money                                     amounts as they are printed
"""
