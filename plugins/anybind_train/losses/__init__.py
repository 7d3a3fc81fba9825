"""The losses of "Expanding Event Modality Applications through a Robust CLIP-Based Encoder", and `cosine`.

"The paper" is arXiv 2412.03093; "the authors' code" is the code published with it, which differs. In all
equations s_i is row i of the student, z_i of the teacher, t_j the text of class j, y_i the label of sample i;
all have norm 1, so that a product a . b is a cosine. n samples, m texts, d dimensions.
"""
